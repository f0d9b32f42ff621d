"""Identities on disk: key files, the data directory of a user, and the lock that keeps it to one process."""
