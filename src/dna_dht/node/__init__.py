"""The public asynchronous face of a DHT node."""
