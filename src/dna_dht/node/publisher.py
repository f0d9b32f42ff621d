"""Publisher: signs values and brings them to the network, above what the network holds already.

Which seq a value gets (spec 02, 25.1 item 5; 15.7):

* An id chosen here at random is new: seq 0, nothing to look for.
* Otherwise the last seq this process used plus one, or 0 if it used none; and the put goes out at once. It
  carries a probe that costs no round trip and tells which nodes hold a value of that id with a seq as high:
  *rivals*. Storing nodes keep such a value, though they acknowledge ours.
* Rivals are ours (an earlier run, another device) or a stranger's. A second look, filtered by our owner id,
  tells: if nodes hold values of ours, the highest seq whose signature verified, plus one, is put. A number
  that a node merely claims is never trusted: 65,535 would use up all revisions of the value.
* If half of those that answered, or more, keep a stranger's value, the put is refused.

Puts of one (key, id) follow each other; others run side by side. After an error or a cancellation nothing
goes on in the background.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from random import Random, SystemRandom

import msgspec

from dna_dht.core.effects import GetOutcome, NodeEvidence, PutOutcome
from dna_dht.core.operations.get import Strength
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import (
    NotConnectedError,
    OperationTimeoutError,
    PutRefusedError,
    SequenceExhaustedError,
)
from dna_dht.node.host import Host
from dna_dht.node.results import PutReceipt
from dna_dht.node.revisions import Revisions, Slot
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import MAX_SEQ, MAX_UINT64
from dna_dht.wire.query import Field, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

MAX_SIGNED_DATA = 58_286  # bytes: the wire limit less key, signature and framing; spec 01, 9.5
Seqs = dict[InfoHash, int]
"""Node id -> seq."""
ROUNDS = 4  # puts of one value before giving up on a rival that always comes first


class Publisher:
    """Puts values through *host*, signed with its identity."""

    def __init__(self, host: Host, rng: Random | None = None) -> None:
        self._host = host
        self._rng = rng or SystemRandom()
        self._revisions = Revisions()

    async def put_signed(
        self,
        identity: NodeIdentity,
        key: InfoHash,
        data: bytes,
        *,
        value_id: int | None,
        value_type: int,
        permanent: bool,
        verify: bool,
    ) -> PutReceipt:
        """Sign and put; see :meth:`Node.put_signed` for the meaning of everything."""
        probe = value_id is not None
        value_id = self.random_id() if value_id is None else value_id
        value = Value(id=value_id, type=value_type, data=data, owner=identity.public_key)
        async with self._revisions.writing((key, value_id)), self._kept_only_if_put(key, value_id, permanent):
            receipt, value = await self._put_above(identity, key, value, permanent=permanent, probe=probe)
        return await self._verified(key, value, receipt) if verify else receipt

    async def put_value(self, key: InfoHash, value: Value, *, permanent: bool, verify: bool) -> PutReceipt:
        """Put *value* as it is; see :meth:`Node.put_value`."""
        async with self._kept_only_if_put(key, value.id, permanent):
            outcome = await self._put(key, value, permanent=permanent, probe=True)
        receipt = _receipt(value, outcome, _holders(outcome.evidence, value.id))
        return await self._verified(key, value, receipt) if verify else receipt

    def random_id(self) -> int:
        """A value id that nobody uses yet."""
        return self._rng.randint(1, MAX_UINT64)

    async def _put_above(
        self, identity: NodeIdentity, key: InfoHash, value: Value, *, permanent: bool, probe: bool
    ) -> tuple[PutReceipt, Value]:
        """Put *value* with a seq above all of ours that the network holds; the value as it was put."""
        slot = (key, value.id)
        strangers: Seqs = {}
        seq = self._next_seq(slot, identity.owner_id)
        for _ in range(ROUNDS):
            if seq > MAX_SEQ:
                raise SequenceExhaustedError(
                    f"value {value.id} of key {key} is at its last revision, {MAX_SEQ}: use a new value id"
                )
            value = await self._signed(identity, value, seq)
            self._revisions.used(slot, seq)
            outcome = await self._put(key, value, permanent=permanent, probe=probe)
            if outcome.conflicts and not outcome.evidence:  # our own store got a later one meanwhile
                seq = self._next_seq(slot, identity.owner_id)
                continue
            rivals = _holders(outcome.evidence, value.id) if outcome.conflicts else {}
            if not rivals:
                break
            highest, ours = await self._own(key, value.id, identity.owner_id)
            strangers |= {node: held for node, held in rivals.items() if node not in ours}
            if not ours.keys() & rivals.keys():
                break
            seq = max(seq, highest) + 1
        else:
            raise PutRefusedError(
                f"value {value.id} of key {key} is being written by somebody else with the same identity"
            )
        if strangers and 2 * len(strangers) >= sum(entry.answered for entry in outcome.evidence):
            raise await self._refusal(key, value.id, identity.owner_id)
        return _receipt(value, outcome, strangers), value

    @asynccontextmanager
    async def _kept_only_if_put(self, key: InfoHash, value_id: int, permanent: bool) -> AsyncIterator[None]:
        """Do not keep alive what was not put."""
        try:
            yield
        except BaseException:
            if permanent and not self._host.board.closed:
                self._host.call(lambda core, now: core.cancel_put(key, value_id, now))
            raise

    def _next_seq(self, slot: Slot, owner_id: InfoHash) -> int:
        """Above what this process used and what this node stores. PutRefusedError if that is a stranger's."""
        last = self._revisions.last(slot)
        stored = self._host.core.storage.get(*slot)
        if stored is not None and stored.owner_id == owner_id:
            last = stored.seq if last is None else max(last, stored.seq)
        seq = 0 if last is None else last + 1
        if stored is not None and stored.owner_id != owner_id and stored.seq >= seq:
            raise _refused(slot, [stored.owner_id])
        return seq

    async def _signed(self, identity: NodeIdentity, value: Value, seq: int) -> Value:
        unsigned = msgspec.structs.replace(value, seq=seq, signature=b"")
        signature = await self._host.work(partial(identity.sign, signed_bytes(unsigned)))
        return msgspec.structs.replace(unsigned, signature=signature)

    async def _put(self, key: InfoHash, value: Value, *, permanent: bool, probe: bool) -> PutOutcome:
        outcome = await self._host.run(
            lambda core, now: core.put(key, value, now, permanent=permanent, probe=probe)
        )
        assert isinstance(outcome, PutOutcome)
        if not outcome.connected:
            raise NotConnectedError("the connection to the network was lost: nothing was sent")
        if not outcome.accepted and not outcome.conflicts:
            if outcome.refused > outcome.silent:
                raise PutRefusedError(f"{outcome.refused} nodes answered, and all of them refused the value")
            raise OperationTimeoutError(asked=outcome.refused + outcome.silent, answered=outcome.refused)
        return outcome

    async def _own(self, key: InfoHash, value_id: int, owner_id: InfoHash) -> tuple[int, Seqs]:
        """The highest seq of our own values that verified (-1: none), and which nodes hold one."""
        outcome = await self._get(key, _owned(value_id, owner_id), "all")
        seqs = [value.seq for value in outcome.values if value.owner_id == owner_id]
        return max(seqs, default=-1), _holders(outcome.evidence, value_id)

    async def _refusal(self, key: InfoHash, value_id: int, owner_id: InfoHash) -> PutRefusedError:
        outcome = await self._get(key, where_id(value_id), "all")
        return _refused((key, value_id), sorted({value.owner_id for value in outcome.values} - {owner_id}))

    async def _verified(self, key: InfoHash, value: Value, receipt: PutReceipt) -> PutReceipt:
        """The receipt with the answer to: does the network show our revision, and no later one of ours?"""
        query = _owned(value.id, value.owner_id) if value.owner else where_id(value.id)
        outcome = await self._get(key, query, "fresh")
        seqs = [found.seq for found in outcome.values if found.owner == value.owner]
        held = value.seq in _holders(outcome.evidence, value.id).values()
        return replace(receipt, verified=held and max(seqs, default=-1) == value.seq)

    async def _get(self, key: InfoHash, query: Query, strength: Strength) -> GetOutcome:
        outcome = await self._host.run(lambda core, now: core.get(key, now, query=query, strength=strength))
        assert isinstance(outcome, GetOutcome)
        return outcome


def _owned(value_id: int, owner_id: InfoHash) -> Query:
    return Query((), ((Field.ID, value_id), (Field.OWNER, owner_id)))


def _refused(slot: Slot, owners: list[InfoHash]) -> PutRefusedError:
    key, value_id = slot
    whom = f"owner {' and '.join(map(str, owners))}" if owners else "another owner"
    return PutRefusedError(
        f"value {value_id} of key {key} belongs to {whom}, and most nodes keep it: use another value id"
    )


def _holders(evidence: tuple[NodeEvidence, ...], value_id: int) -> Seqs:
    """Which nodes claim to hold *value_id*, and in which revision."""
    return {entry.node_id: seq for entry in evidence for held, seq in entry.holds if held == value_id}


def _receipt(value: Value, outcome: PutOutcome, rivals: Seqs) -> PutReceipt:
    return PutReceipt(
        value_id=value.id,
        seq=value.seq,
        accepted=outcome.accepted,
        refused=outcome.refused,
        silent=outcome.silent,
        conflict=max(rivals.values(), default=None),
    )
