"""The path of a datagram: who is let in, what is dropped, which answers count."""

from random import Random

import msgpack
import msgspec
import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.effects import OperationDone, PingOutcome
from dna_dht.wire import encode
from dna_dht.wire.address import Address, pack_ip
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Find, Message, Part, Ping, Put, Reply
from dna_dht.wire.query import ANY
from dna_dht.wire.value_codec import pack

from .stage import ALICE, BOB, CAROL, KEY, SIX, Stage, id_of, value

# -- who is let in


@pytest.mark.parametrize(
    "source",
    [
        ("203.0.113.1", 0),
        ("0.0.0.0", 4000),
        ("224.0.0.1", 4000),
        ("255.255.255.255", 4000),
        ("ff02::1", 4000),
        ("::", 4000),
    ],
)
def test_martian_sources_are_dropped(source: Address) -> None:
    stage = Stage()
    stage.receive(Ping(tid=1, sender=id_of(ALICE)), source)
    assert stage.sent == [] and stage.dropped["martian address"] == 1


def test_another_network_is_ignored_silently() -> None:
    stage = Stage(CoreConfig(network=7, exempt_loopback=False))
    assert stage.ask(Ping(tid=1, sender=id_of(ALICE)), ALICE) == []
    assert stage.ask(Ping(tid=1, sender=id_of(ALICE), network=8), ALICE) == []
    assert stage.dropped["other network"] == 2 and stage.core.stats()["known_nodes"] == {4: 0, 6: 0}
    (pong,) = stage.ask(Ping(tid=1, sender=id_of(ALICE), network=7, client=True), ALICE)
    assert pong.network == 7


@pytest.mark.parametrize("sender", [ZERO, InfoHash.of(b"the node on stage")], ids=["zero", "our own"])
def test_a_sender_without_a_name_of_its_own_is_dropped(sender: InfoHash) -> None:
    stage = Stage()
    assert stage.ask(Ping(tid=1, sender=sender), ALICE) == []
    assert stage.ask(Put(tid=1, sender=sender, key=KEY, token=bytes(32)), ALICE) == []
    assert stage.dropped["no sender"] == 2


def test_malformed_datagrams_are_counted() -> None:
    stage = Stage()
    for junk in (b"", b"\xc1", b"\x80", b"\xff" * 500, msgpack.packb({"y": "q", "q": "fly", "a": {}})):
        stage.receive(junk, ALICE)
    assert stage.sent == [] and stage.dropped["malformed"] == 5


_ID = bytes(InfoHash.of(b"node at ('192.0.2.1', 4000)"))
CRASHES = {
    "empty error array": {"e": [], "r": {"id": _ID}, "t": 5, "y": "e", "v": "o2"},
    "empty error array, 39 bytes": {"e": [], "t": b"\0\0\0\5", "y": "e"},
    "reply that is not a map": {"r": 5, "t": 5, "y": "r"},
    "empty field list": {"r": {"id": _ID, "fileds": {"f": [], "v": [1, 2]}}, "t": 5, "y": "r"},
    "empty field list and no values": {"r": {"id": _ID, "fileds": {"f": []}}, "t": 5, "y": "r"},
    "query without selection": {"a": {"id": _ID, "h": bytes(KEY), "q": {}}, "q": "get", "t": 5, "y": "q"},
    "part without pieces": {"y": "p", "t": 5, "p": {}},
    "error without code": {"e": ["text"], "t": 5, "y": "e"},
    "values that are no list": {"a": {"id": _ID, "h": bytes(KEY), "values": 7}, "q": "put", "t": 5, "y": "q"},
}


@pytest.mark.parametrize("body", CRASHES.values(), ids=CRASHES)
def test_what_crashed_the_reference_is_survived(body: dict[str, object]) -> None:
    """From a stranger, and as the answer to a question of ours."""
    stage = Stage()
    stage.receive(msgpack.packb(body), ALICE)
    stage.core.ping(ALICE, stage.now)
    stage.pump()
    (ping, *_) = [message for message in stage.take(ALICE) if isinstance(message, Ping)]
    stage.receive(msgpack.packb({**body, "t": ping.tid}), ALICE)
    assert stage.ping(ALICE)


def test_an_unsigned_value_over_a_signed_one_is_survived() -> None:
    stage = Stage()
    stage.put(ALICE, value(b"signed", id=7))
    unsigned = msgspec.structs.replace(value(b"unsigned", id=7), signature=b"", owner=b"")
    (answer,) = stage.put(BOB, unsigned)
    assert isinstance(answer, Reply) and answer.value_id == 7
    assert [each.is_signed for each in stage.core.storage.find(KEY, ANY)] == [True]


# -- rates


def test_a_source_gets_1024_requests_answered_in_any_second() -> None:
    stage = Stage()
    stage.prove(ALICE)
    stage.wait(2)
    answered = sum(len(stage.ping((ALICE[0], ALICE[1]))) for _ in range(3000))
    assert answered == 1024 and stage.dropped["request rate"] == 3000 - 1024
    assert len(stage.ping(BOB)) == 1, "others are not concerned"
    stage.wait(1.01)
    assert len(stage.ping(ALICE)) == 1


def test_ports_of_one_host_share_its_rate() -> None:
    stage = Stage(requests_per_source=10, unproved_per_source=-1)
    assert sum(len(stage.ping((ALICE[0], 1000 + number))) for number in range(30)) == 10
    neighbours = [f"2a01:4f8:0:1:{number:x}::" for number in range(1, 31)]
    assert sum(len(stage.ping((host, 4000))) for host in neighbours) == 10


def test_8192_requests_in_all_are_answered_in_any_second() -> None:
    stage = Stage(CoreConfig(limits=Limits(unproved_per_source=-1), exempt_loopback=False))
    sources = [(f"31.{number}.7.1", 4000) for number in range(20)]
    answered = sum(len(stage.ping(source)) for source in sources for _ in range(500))
    assert answered == 8192
    assert stage.dropped["request rate"] == 20 * 500 - 8192


def test_parts_of_a_known_message_do_not_count_as_requests() -> None:
    stage = Stage(requests_per_source=6, unproved_per_source=-1)
    stage.token(ALICE)
    stage.put(ALICE, value(bytes(40_000)))
    assert stage.stored() == [(1, 0)]
    for number in range(20):
        stage.receive(Part(tid=5000 + number, pieces=((0, 0, b"stray"),)), ALICE)
    assert stage.dropped["request rate"] == 20 - 4, "stray ones do"


# -- answers that count


def test_forged_replies_are_never_accepted() -> None:
    """T10: right transaction id, wrong source; right source, wrong id; 20,000 guesses."""
    stage = Stage()
    operation = stage.core.ping(ALICE, stage.now)
    stage.pump()
    (ping,) = stage.take(ALICE)
    seen = pack_ip(ALICE[0])
    rng = Random(3)
    for source in (BOB, (ALICE[0], ALICE[1] + 1), SIX):
        stage.receive(encode.pong(ping.tid, id_of(source), seen), source)
    for _ in range(20_000):
        guess = rng.getrandbits(32)
        if guess != ping.tid:
            stage.core.receive(encode.pong(guess, id_of(ALICE), seen), ALICE, stage.now)
    stage.pump()
    assert stage.events == [] and stage.core.stats()["good_nodes"] == {4: 0, 6: 0}
    assert not stage.core.connected
    stage.receive(encode.pong(ping.tid, id_of(ALICE), seen), ALICE)
    done = [event for event in stage.events if isinstance(event, OperationDone)]
    assert done == [OperationDone(operation, PingOutcome(id_of(ALICE), 0.0))]


def test_an_answer_in_the_name_of_another_node_is_not_accepted() -> None:
    """A request to a known node wants that node's id."""
    stage = Stage()
    befriended(stage, ALICE)
    stage.core.get(KEY, stage.now)
    stage.pump()
    asked = stage.take(ALICE)
    assert asked
    for message in asked:
        stage.receive(
            encode.nodes_reply(message.tid, id_of(BOB), b"", b"", b"", b"token", client=False)[0], ALICE
        )
    assert stage.dropped["reply: unexpected"] >= 1


def test_errors_nobody_waits_for_are_dropped() -> None:
    stage = Stage()
    for code in (203, 401, 404, 999):
        stage.receive(encode.error(5, id_of(ALICE), code, b"?"), ALICE)
    assert stage.dropped["error: unexpected"] == 4


def test_a_get_reply_without_token_puts_the_address_on_the_blacklist() -> None:
    stage = Stage()
    befriended(stage, ALICE)
    stage.core.get(KEY, stage.now)
    stage.pump()
    for message in stage.take(ALICE):
        stage.receive(encode.pong(message.tid, id_of(ALICE), b""), ALICE)
    assert stage.dropped["reply without token"] >= 1
    assert stage.ping(ALICE) == [] and stage.dropped["blacklisted"] >= 1
    assert len(stage.ping((ALICE[0], ALICE[1] + 1))) == 1, "an address with its port, not a host"
    stage.wait(601)
    stage.take(ALICE)
    assert [type(message) for message in stage.ping(ALICE)] == [Reply]


def test_a_known_node_keeps_its_address_until_the_new_one_answers() -> None:
    """Spec 01, 17 #15: whoever speaks in its name is pinged first."""
    stage = Stage()
    befriended(stage, ALICE)
    stage.receive(Find(tid=9, sender=id_of(ALICE), target=KEY), BOB)
    pings = [message for message in stage.take(BOB) if isinstance(message, Ping)]
    assert len(pings) == 1
    node = stage.core.overlays[4].cache.find(id_of(ALICE))
    assert node is not None and node.address == ALICE
    stage.pong(BOB, pings[0].tid, InfoHash.of(b"not the same"))
    assert node.address == ALICE
    stage.receive(Find(tid=9, sender=id_of(ALICE), target=KEY), BOB)
    assert not any(isinstance(message, Ping) for message in stage.take(BOB)), "not again so soon"


def test_a_node_that_moved_is_found_at_its_new_address() -> None:
    stage = Stage()
    befriended(stage, ALICE)
    stage.receive(Find(tid=9, sender=id_of(ALICE), target=KEY), BOB)
    (ping,) = [message for message in stage.take(BOB) if isinstance(message, Ping)]
    stage.pong(BOB, ping.tid, id_of(ALICE))
    node = stage.core.overlays[4].cache.find(id_of(ALICE))
    assert node is not None and node.address == BOB


# -- values in parts


def test_headers_without_parts_cost_no_memory_and_stop_nobody() -> None:
    """T11: 20,000 headers announce 64 kB each from 1,000 addresses; an honest put goes through meanwhile."""
    stage = Stage()
    stage.token(CAROL)
    good = 0
    for number in range(20_000):
        source = (f"31.{number % 1000 // 250}.{number % 250}.1", 4000)
        header = Put(tid=number, sender=id_of(source), key=KEY, token=bytes(32), sizes=((0, 65_000),))
        stage.core.receive(encode.encode(header)[0], source, stage.now)
        if number % 1000 == 0:
            stage.wait(0.2)
            stage.put(CAROL, value(bytes(45_000), id=number + 1), key=InfoHash.of(b"%d" % number))
            good += stage.core.storage.has(InfoHash.of(b"%d" % number))
    assert good == 20
    assert stage.core.stats()["reassembly_bytes"] == 0


def test_values_come_whole_in_any_order_of_parts() -> None:
    stage = Stage()
    one = pack(value(bytes(10_000), id=7))
    put = Put(tid=77, sender=id_of(ALICE), key=KEY, token=stage.token(ALICE), client=True)
    header, *parts = encode.encode(put, [one])
    order = [*parts, header]
    Random(1).shuffle(order)
    answers: list[Message] = []
    for datagram in order:
        answers += stage.ask(datagram, ALICE)
    assert [message.value_id for message in answers if isinstance(message, Reply)] == [7]
    assert stage.stored() == [(7, 0)]


def test_a_put_whose_value_does_not_decode_is_lost_without_an_answer() -> None:
    stage = Stage()
    put = Put(tid=77, sender=id_of(ALICE), key=KEY, token=stage.token(ALICE), client=True)
    assert stage.ask(put, ALICE, (b"\xc1" * 5000,)) == []
    assert stage.core.stats()["reassembly_bytes"] == 0


# -- our own address


def test_answers_tell_our_address_and_strangers_do_not() -> None:
    stage = Stage()
    seen = pack_ip("203.0.113.99")
    stage.receive(encode.pong(5, id_of(BOB), seen), BOB)
    assert stage.core.public_hosts() == []
    stage.core.ping(ALICE, stage.now)
    stage.pump()
    (ping,) = stage.take(ALICE)
    stage.receive(encode.pong(ping.tid, id_of(ALICE), seen), ALICE)
    assert stage.core.public_hosts() == ["203.0.113.99"]


def befriended(stage: Stage, address: Address) -> None:
    """The node at *address* is known and good."""
    stage.core.ping(address, stage.now)
    stage.pump()
    for message in stage.take(address):
        if isinstance(message, Ping):
            stage.pong(address, message.tid, id_of(address))
    stage.take(address)
