"""The Core, its devices, limits and the turn."""
