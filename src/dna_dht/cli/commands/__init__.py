"""One module a command of `dna-dht`."""
