"""Named networks. Nothing contacts one unless the user asks for it by name. Source: spec 00, section 5."""

MAINNET = ("154.38.182.161:4000", "164.68.105.227:4000", "164.68.116.180:4000")
"""The production bootstrap nodes of DNA Messenger: United States, and two in Europe."""

NETWORKS = {"mainnet": MAINNET}
"""What ``--network NAME`` stands for."""
