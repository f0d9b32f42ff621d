"""Bytes <-> frozen values. Stateless, total, bounded."""
