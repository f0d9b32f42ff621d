"""What reading and writing datagrams costs, in units of decoding the same bytes without any meaning.

The unit is ``msgspec.msgpack.decode`` of the datagram into plain dictionaries: a codec that checks nothing.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from bench.report import Report
from bench.timing import cpu_per_call
from dna_dht.testing.fake_crypto import FakeCrypto
from dna_dht.wire import encode as write
from dna_dht.wire import messages as m
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value_codec import pack, signed_bytes, unpack

SENDER = InfoHash.of(b"sender")
KEY = InfoHash.of(b"key")
IP = bytes((192, 0, 2, 7))
TOKEN = bytes(range(32))
NODES = bytes(26 * 8)  # eight IPv4 nodes
DATA = bytes(2048)


def run(report: Report) -> None:
    """Measure decoding of each hot message, then encoding, then values."""
    value = FakeCrypto().identity("bench").value(DATA, value_id=77, seq=1)
    packed = pack(value)
    put = write.encode(m.Put(tid=70_000, sender=SENDER, key=KEY, token=TOKEN), (packed,))
    messages: dict[str, tuple[bytes, Callable[[], object]]] = {
        "ping": (write.ping(70_000, SENDER), partial(write.ping, 70_000, SENDER)),
        "pong": (write.pong(70_000, SENDER, IP), partial(write.pong, 70_000, SENDER, IP)),
        "find": (write.find(70_000, SENDER, KEY), partial(write.find, 70_000, SENDER, KEY)),
        "nodes": (
            write.nodes_reply(70_000, SENDER, IP, NODES, b"", TOKEN)[0],
            partial(write.nodes_reply, 70_000, SENDER, IP, NODES, b"", TOKEN),
        ),
        "put_reply": (
            write.put_reply(70_000, SENDER, 77, IP),
            partial(write.put_reply, 70_000, SENDER, 77, IP),
        ),
        "put_header": (
            put[0],
            partial(write.encode, m.Put(tid=70_000, sender=SENDER, key=KEY, token=TOKEN), (packed,)),
        ),
    }
    for name, (datagram, make) in messages.items():
        bare, _ = cpu_per_call(partial(msgspec.msgpack.decode, datagram))
        cost, n = cpu_per_call(partial(decode, datagram))
        report.add(f"codec.decode.{name}", cost / bare, "x_bare_msgpack", n, note=f"{cost * 1e6:.2f} us")
        cost, n = cpu_per_call(make)
        note = f"{cost * 1e6:.2f} us" + (", cuts the value into parts" if name == "put_header" else "")
        report.add(f"codec.encode.{name}", cost / bare, "x_bare_msgpack", n, note=note)
    bare, _ = cpu_per_call(partial(msgspec.msgpack.decode, put[1]))
    cost, n = cpu_per_call(partial(decode, put[1]))
    report.add("codec.decode.part", cost / bare, "x_bare_msgpack", n, note=f"{cost * 1e6:.2f} us")
    bare, _ = cpu_per_call(partial(msgspec.msgpack.decode, packed))
    actions: dict[str, Callable[[], object]] = {
        "unpack": partial(unpack, packed),
        "pack": partial(pack, value),
        "signed_bytes": partial(signed_bytes, value),
    }
    for name, action in actions.items():
        cost, n = cpu_per_call(action)
        report.add(f"codec.value_2kB.{name}", cost / bare, "x_bare_msgpack", n, note=f"{cost * 1e6:.2f} us")
