"""Arrays in, results out: no files, clock, globals or hardware.

Images are (Y, X), stacks (Z, Y, X); places in an image are (row, col) in pixels, pixel centres at whole numbers.
Contours, which other programs draw, are [x, y] = [col, row].
"""
