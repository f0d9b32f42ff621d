"""Every limit of the wire protocol, with unit and source.

The first group is what the protocol fixes; the second is our own bound on what strangers may make us do.
"""

# -- Fixed by the protocol ---------------------------------------------------------------------------------

DATAGRAM = 65_507  # bytes; the largest UDP payload over IPv4 (spec 01, section 2)
ADDRESS4, ADDRESS6 = 4, 16  # bytes of a packed IP address
PUBLIC_KEY = 2_592  # bytes; ML-DSA-87 (spec 01, 9.1)
SIGNATURE = 4_627  # bytes; ML-DSA-87 (spec 01, 9.1)
TOKEN = 32  # bytes of the tokens we issue (spec 01, section 8)
TOKEN_MAX = 64  # bytes; longer tokens of others are not kept (spec 01, section 8)
INLINE_VALUES = 50  # a message carries fewer values than this inside itself (spec 01, 11.1)
INLINE_BYTES = 600  # ... and fewer packed bytes than this in total
PART_DATA = 1_280  # bytes of a packed value in one part (spec 01, 11.2)
UPDATE_SPLIT = 56 * 1024  # bytes of values after which a new update starts (spec 01, 14.2)
MAX_VALUE_SIZE = 65_536  # bytes; default store rule (spec 01, 9.5)
PACKED_VALUE = MAX_VALUE_SIZE + 32  # bytes; larger announcements are ignored (spec 01, 9.5)
NODES_PER_REPLY = 8  # entries of n4 and of n6 (spec 01, section 7)
MAX_TYPE = MAX_SEQ = 65_535  # spec 01, 1.3
MAX_UINT32 = 2**32 - 1  # transaction, socket and network ids, priority (spec 01, 1.3)
MAX_UINT64 = 2**64 - 1  # value ids (spec 01, 1.3)

# -- Ours, against hostile input ---------------------------------------------------------------------------

DEPTH = 16  # containers inside each other; the deepest real datagram nests 6
MAP_ENTRIES = 512  # entries of one map; the largest real one has 11
ARRAY_ITEMS = 8_192
"""Items of one array.

`re` and `exp` list 64-bit ids of 9 bytes: 7,278 fill a datagram. A reply that announces more values than
this has no room left to be assembled in (4 MiB per source, spec 01, 17 #2).
"""
SCAN_ITEMS = 24_576
"""MessagePack objects looked at in one datagram by the tolerant reader: at most about 4 ms of work.

Containers count twice. Enough for 1,100 plain inline values, or for three lists of ids that fill a datagram.
"""
INLINE_CHARGE = 48  # objects charged for an inline value that is not canonical: it costs as much time
PIECE_CHARGE = 20  # objects charged for each piece of a part, which everybody sends alone
CELL_CHARGE = 8  # objects charged for a cell of a field answer that is not canonical
QUERY_ITEMS = 16  # fields selected, and filters, of one query; there are five fields
FAST_DATAGRAM = 1_536
"""Bytes up to which a datagram is tried on the fast path.

All common ones are shorter (parts have at most 1,325 bytes), and nothing that fits into so few bytes reaches
the limits above, so that the fast path need not count.
"""
