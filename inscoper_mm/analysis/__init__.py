"""Arrays in, results out: no files, clock, globals or hardware."""
