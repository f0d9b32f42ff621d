"""What the type number of a value decides: how long it lives, whether it may be edited or stored at all.

A storing node learns no lifetime and no permission from the wire, only the type. Sources: spec 01, 9.5 and
9.7; spec 02, 11.2 and 11.3; spec 04, 4 and 13.2.
"""

from typing import Literal

import msgspec

MINUTE = 60.0  # seconds
DAY = 86_400.0  # seconds

DNA_7_DAYS = 0x1001
DNA_365_DAYS = 0x1002
DNA_30_DAYS = 0x1003

MAX_VALUE_SIZE = 65_536  # bytes of Value.size; spec 02, section 1
DEFAULT_TTL = 604_800  # seconds meant by ttl 0; spec 04, section 4
TTL_30_DAYS = 2_592_000  # seconds from which a ttl means 30 days; same
TTL_365_DAYS = 31_536_000  # seconds from which a ttl means 365 days; same

StoreRule = Literal["any", "size", "never"]
"""``any``: no rule beside the wire limit; ``size``: at most MAX_VALUE_SIZE; ``never``: refused.

Two types are never stored: 2 (IP service), because its store rule rewrites it as unsigned, and 8
(certificate), because the only form it accepts is published by nobody (spec 01, 9.7).
"""


class ValueType(msgspec.Struct, frozen=True, gc=False):
    """One row of the type table.

    Attributes:
        lifetime: seconds from creation, or from the last refresh, to expiry.
        editable: its owner may replace it by a higher seq.
    """

    id: int
    name: str
    lifetime: float
    editable: bool
    store_rule: StoreRule


_KNOWN = {
    known.id: known
    for known in (
        ValueType(0, "User data", 10 * MINUTE, True, "size"),
        ValueType(1, "DHT message", 5 * MINUTE, True, "size"),
        ValueType(2, "IP service announcement", 15 * MINUTE, False, "never"),
        ValueType(3, "IM message", 5 * MINUTE, True, "size"),
        ValueType(4, "Certificate trust request", 7 * DAY, True, "size"),
        ValueType(5, "ICE candidates", 1 * MINUTE, True, "size"),
        ValueType(8, "Certificate", 7 * DAY, False, "never"),
        ValueType(DNA_7_DAYS, "DNA 7 days", 7 * DAY, True, "any"),
        ValueType(DNA_365_DAYS, "DNA 365 days", 365 * DAY, True, "any"),
        ValueType(DNA_30_DAYS, "DNA 30 days", 30 * DAY, True, "any"),
    )
}
_UNKNOWN_LIFETIME = 10 * MINUTE
_PERSISTED = frozenset({DNA_365_DAYS, DNA_30_DAYS})


def type_of(type_id: int) -> ValueType:
    """The rules of a type number, 0 to 65,535; unknown ones live 10 minutes and cannot be edited."""
    known = _KNOWN.get(type_id)
    return known if known is not None else ValueType(type_id, "unknown", _UNKNOWN_LIFETIME, False, "size")


def persisted(type_id: int) -> bool:
    """Whether a node with a database keeps values of this type on disk (30 and 365 days)."""
    return type_id in _PERSISTED


def type_for_ttl(ttl: int) -> int:
    """The type that carries a wanted lifetime of *ttl* seconds: 7, 30 or 365 days; 0 means the default, 7
    days.
    """
    seconds = ttl or DEFAULT_TTL
    if seconds >= TTL_365_DAYS:
        return DNA_365_DAYS
    return DNA_30_DAYS if seconds >= TTL_30_DAYS else DNA_7_DAYS
