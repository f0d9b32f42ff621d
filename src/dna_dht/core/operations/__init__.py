"""What a node does for its user: get, put, listen, and keeping values alive."""
