"""Helpers for script authors and tests."""
