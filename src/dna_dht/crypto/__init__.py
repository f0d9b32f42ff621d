"""Primitives behind plain functions and small value types."""
