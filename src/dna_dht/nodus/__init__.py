"""The bootstrap server `dna-nodus`: a full node that keeps long-lived values in a database."""
