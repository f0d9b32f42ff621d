"""Where the core meets the world: sockets, clocks, threads."""
