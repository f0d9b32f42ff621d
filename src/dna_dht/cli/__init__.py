"""The command lines `dna-dht` and `dna-nodus`.

They start fast: only :mod:`click` and the small modules here are imported before a command is chosen; the
node, with asyncio and the cryptography behind it, is imported by the command that needs it.
"""
