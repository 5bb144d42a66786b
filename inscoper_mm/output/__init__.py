"""What a run leaves behind: folder, journal, status, results."""
