"""Segmentation with neural networks, in the script's process: one protocol for the versions of Cellpose."""
