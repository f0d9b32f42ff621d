"""The sans-IO node: every file a machine or a table. No clock, no socket, no thread, no await."""
