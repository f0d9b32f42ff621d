"""The bootstrap server."""
