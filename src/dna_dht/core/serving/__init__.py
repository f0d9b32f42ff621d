"""What a node does for others: it answers, stores, and tells listeners."""
