"""Knowing many nodes: cache, table and upkeep of each address family, and staying connected."""
