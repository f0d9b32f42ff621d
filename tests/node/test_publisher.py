"""Which revision a put gets, and who wins, in real networks over loopback."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dna_dht.core.effects import PutOutcome
from dna_dht.errors import PutRefusedError, SequenceExhaustedError
from dna_dht.node import Node
from dna_dht.node.publisher import MAX_SIGNED_DATA, ROUNDS
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import MAX_SEQ, PACKED_VALUE, PUBLIC_KEY, SIGNATURE
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes

from .networks import KEY, OTHER_KEY, config, identity, network, until


def signed(who: int, data: bytes, *, seq: int, value_id: int = 1) -> Value:
    """A value of the 7-day type by the identity *who*."""
    value = Value(id=value_id, type=0x1001, data=data, owner=identity(who).public_key, seq=seq)
    return msgspec.structs.replace(value, signature=identity(who).sign(signed_bytes(value)))


async def data_at(node: Node, key: InfoHash = KEY, *, owner: int) -> list[tuple[bytes, int]]:
    values = await node.get(key, owner=identity(owner).owner_id, strength="all")
    return [(value.data, value.seq) for value in values]


def test_the_limit_on_data_is_what_fits_the_wire() -> None:
    largest = Value(
        id=2**64 - 1,
        type=MAX_SEQ,
        seq=MAX_SEQ,
        owner=bytes(PUBLIC_KEY),
        signature=bytes(SIGNATURE),
        data=bytes(MAX_SIGNED_DATA),
    )
    assert len(pack(largest)) == PACKED_VALUE


async def test_replacing_counts_up_and_everybody_sees_the_last() -> None:
    async with network(4) as nodes:
        for seq in range(3):
            receipt = await nodes[0].put_signed(KEY, b"revision %d" % seq, value_id=1, verify=True)
            assert (receipt.seq, receipt.verified, receipt.conflict) == (seq, True, None)

        for node in nodes:
            assert await data_at(node, owner=0) == [(b"revision 2", 2)]


async def test_the_first_put_takes_one_put_and_no_get(monkeypatch: pytest.MonkeyPatch) -> None:
    async with network(3) as nodes:
        core = nodes[0]._host.core
        monkeypatch.setattr(core, "get", None)
        for seq in range(2):
            assert (await nodes[0].put_signed(KEY, b"data", value_id=1)).seq == seq


async def test_keys_and_ids_count_on_their_own() -> None:
    async with network(2) as nodes:
        await nodes[0].put_signed(KEY, b"data", value_id=1)
        assert (await nodes[0].put_signed(KEY, b"data", value_id=2)).seq == 0
        assert (await nodes[0].put_signed(OTHER_KEY, b"data", value_id=1)).seq == 0
        assert (await nodes[0].put_signed(KEY, b"data", value_id=1)).seq == 1


async def test_puts_at_once_follow_each_other() -> None:
    async with network(3) as nodes:
        receipts = await asyncio.gather(
            *(nodes[0].put_signed(KEY, b"%d" % number, value_id=1) for number in range(5))
        )

        assert [receipt.seq for receipt in receipts] == list(range(5))
        assert await data_at(nodes[1], owner=0) == [(b"4", 4)]
        assert nodes[0]._publisher._revisions._locks == {}


@pytest.mark.parametrize("data", [b"the same", b"another"])
async def test_another_run_of_the_same_identity_goes_above_what_is_there(data: bytes) -> None:
    async with network(3) as nodes:
        async with Node(config(nodes[0], who=9, core={"client_mode": True})) as first_run:
            for _ in range(3):
                await first_run.put_signed(KEY, b"the same", value_id=1)
        async with Node(config(nodes[0], who=9, core={"client_mode": True})) as second_run:
            receipt = await second_run.put_signed(KEY, data, value_id=1, verify=True)

        assert (receipt.seq, receipt.verified, receipt.conflict) == (3, True, None)
        assert await data_at(nodes[1], owner=9) == [(data, 3)]


async def test_another_device_is_overtaken_although_our_own_count_is_lower() -> None:
    async with (
        network(3) as nodes,
        Node(config(nodes[0], who=9, core={"client_mode": True})) as one,
        Node(config(nodes[0], who=9, core={"client_mode": True})) as two,
    ):
        await one.put_signed(KEY, b"one", value_id=1, verify=True)
        for _ in range(4):
            await two.put_signed(KEY, b"two", value_id=1, verify=True)
        receipt = await one.put_signed(KEY, b"one again", value_id=1, verify=True)

        assert receipt.verified
        assert receipt.seq > 4
        assert await data_at(nodes[2], owner=9) == [(b"one again", receipt.seq)]


async def test_a_storing_node_knows_its_own_earlier_revision() -> None:
    async with network(2) as nodes:
        await nodes[0].put_value(KEY, signed(0, b"from elsewhere", seq=7))

        assert (await nodes[0].put_signed(KEY, b"data", value_id=1)).seq == 8


async def test_a_value_of_somebody_else_refuses_ours_and_is_named() -> None:
    async with network(4) as nodes:
        await nodes[0].put_signed(KEY, b"first", value_id=1, verify=True)

        for rival in (nodes[1], nodes[2]):
            with pytest.raises(PutRefusedError, match=str(identity(0).owner_id)):
                await rival.put_signed(KEY, b"second", value_id=1)
            assert rival.stats()["announces"] == 0
        async with Node(config(nodes[0], who=9, core={"client_mode": True})) as client:
            with pytest.raises(PutRefusedError, match=str(identity(0).owner_id)):
                await client.put_signed(KEY, b"third", value_id=1)
        assert await data_at(nodes[3], owner=0) == [(b"first", 0)]


async def test_a_single_squatter_does_not_refuse_a_put() -> None:
    async with network(5) as nodes:
        squatter = nodes[4]
        now = squatter._host._clock.now()
        value = signed(9, b"squatting", seq=0)
        squatter._host.core.storage.store(
            KEY, value, pack(value), created=now.mono, source="192.0.2.1", permanent=False
        )

        receipt = await nodes[0].put_signed(KEY, b"ours", value_id=1, verify=True)

        assert receipt.conflict in (0, None)  # the squatter may answer after the quorum
        assert (receipt.seq, receipt.verified) == (0, True)
        assert await data_at(nodes[1], owner=0) == [(b"ours", 0)]


async def test_a_claim_without_a_value_does_not_use_up_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with network(3) as nodes:
        publisher = nodes[0]._publisher
        real = publisher._put

        async def with_liar(*args: Any, **settings: Any) -> PutOutcome:
            outcome: PutOutcome = await real(*args, **settings)
            liar = replace(outcome.evidence[0], holds=((1, MAX_SEQ),))
            return replace(outcome, conflicts=((MAX_SEQ, 1),), evidence=(liar, *outcome.evidence[1:]))

        monkeypatch.setattr(publisher, "_put", with_liar)
        with pytest.raises(PutRefusedError, match="somebody else"):
            await nodes[0].put_signed(KEY, b"data", value_id=1)
        assert publisher._revisions.last((KEY, 1)) == ROUNDS - 1


async def test_the_last_revision_is_the_end() -> None:
    async with network(2) as nodes:
        await nodes[0].put_value(KEY, signed(0, b"almost", seq=MAX_SEQ - 1))
        receipt = await nodes[0].put_signed(KEY, b"last", value_id=1, verify=True)
        assert (receipt.seq, receipt.verified) == (MAX_SEQ, True)

        with pytest.raises(SequenceExhaustedError, match="new value id"):
            await nodes[0].put_signed(KEY, b"too late", value_id=1)
        assert await data_at(nodes[1], owner=0) == [(b"last", MAX_SEQ)]


async def test_what_the_network_does_not_show_is_not_verified() -> None:
    async with network(4) as nodes:
        await nodes[0].put_value(KEY, signed(9, b"later", seq=5))
        await until(lambda: all(node.stats()["stored_values"] == 1 for node in nodes))
        async with Node(config(nodes[0], core={"client_mode": True})) as client:
            receipt = await client.put_value(KEY, signed(9, b"earlier", seq=4), verify=True)

        assert (receipt.verified, receipt.conflict) == (False, 5)
        assert await data_at(nodes[1], owner=9) == [(b"later", 5)]


async def test_putting_the_same_signed_value_again_succeeds() -> None:
    async with network(3) as nodes:
        value = signed(9, b"data", seq=2)
        for _ in range(2):
            receipt = await nodes[1].put_value(KEY, value, verify=True)
            assert (receipt.seq, receipt.verified) == (2, True)
