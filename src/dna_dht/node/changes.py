"""What happens to a listened key: values appear, are edited, and go."""

from dataclasses import dataclass

from dna_dht.wire.value import Value


@dataclass(frozen=True, slots=True)
class Added:
    """A value that was not there before."""

    value: Value


@dataclass(frozen=True, slots=True)
class Updated:
    """The owner replaced a value by a later revision: *value* is the new one."""

    value: Value


@dataclass(frozen=True, slots=True)
class Expired:
    """No node has the value any more: *value* is the last revision seen."""

    value: Value


Change = Added | Updated | Expired
