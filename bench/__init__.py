"""Measurements: ``python -m bench [name ...]``. Nothing here is part of the package."""
