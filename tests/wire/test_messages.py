"""Messages are values; parts complete them."""

import pytest

from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Get, Ping, Put, Reply, Update, with_values
from dna_dht.wire.value import Value

SENDER = InfoHash(b"s" * 20)
ONE, TWO = Value(id=1, data=b"one"), Value(id=2, data=b"two")


@pytest.mark.parametrize("kind", [Put, Update, Reply])
def test_values_of_parts_come_behind_inline_ones(kind: type[Put | Update | Reply]) -> None:
    message = kind(tid=7, sender=SENDER, values=(ONE,), sizes=((1, 300),), token=b"t", network=3, client=True)
    whole = with_values(message, [TWO])
    assert whole == kind(tid=7, sender=SENDER, values=(ONE, TWO), token=b"t", network=3, client=True)
    assert message.sizes == ((1, 300),)


def test_what_is_missing_reads_as_nothing() -> None:
    message = Get(tid=7, sender=SENDER)
    assert (message.key, message.query, message.want, message.network, message.client) == (
        ZERO,
        None,
        None,
        0,
        False,
    )


def test_messages_are_values() -> None:
    assert Ping(tid=7, sender=SENDER) == Ping(tid=7, sender=InfoHash(b"s" * 20)) != Ping(tid=8, sender=SENDER)
    assert len({Ping(tid=7, sender=SENDER), Ping(tid=7, sender=SENDER)}) == 1
    with pytest.raises(AttributeError):
        Ping(tid=7, sender=SENDER).tid = 8  # type: ignore[misc]
