"""Persistence of values and node state."""
