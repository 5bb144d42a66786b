"""Captured images: indices, frames, the bounded cache and the data set."""
