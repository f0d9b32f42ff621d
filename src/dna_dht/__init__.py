"""dna-dht: the post-quantum DHT of DNA Messenger."""

__version__ = "0.1.0"
