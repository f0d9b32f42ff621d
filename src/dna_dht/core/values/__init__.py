"""The values of this node: which may come in, how long they stay, and that their signatures hold."""
