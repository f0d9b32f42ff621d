"""Where the core meets the world: sockets, clocks, threads.

``driver`` pumps one core, ``udp`` binds its sockets, ``verify_pool`` and ``mailbox`` are its threads and
their way back, ``resolve`` reads addresses, ``clock`` and ``lag`` tell the time and how late the loop is.
"""
