"""The command lines `dna-dht` and `dna-nodus`."""
