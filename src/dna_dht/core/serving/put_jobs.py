"""Puts of other nodes: decide, verify, store, commit, answer. Source: spec 01, 15.4; spec 02, 13.1; design,
section 0.

Each value of a put goes its own way:

    judged (cheap) ──refused──────────────────────────────────► answered as if stored
        │ same content: its life starts again ────────────────► answered
        └ signature to check ──► verified ──► judged again, stored ──► persisted types: committed ──► answered
                      │ over the budget: never answered; the sender tries again
                      └ invalid ──► answered as if stored (spec 01, 17 #16)

Answers leave in the order of the values. Listeners are told before the put is answered.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.replies import Replies
from dna_dht.core.values.persistence import Persistence
from dna_dht.core.values.storage import Storage, Verdict
from dna_dht.core.values.verification import Verification
from dna_dht.wire.address import Address, source_group
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Put
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

INVALID = 203  # error code of a value id 0; spec 01, section 13


class _Answers:
    """The answers of one put, kept in order: an empty list until known."""

    __slots__ = ("datagrams", "to")

    def __init__(self, to: Address) -> None:
        self.to = to
        self.datagrams: deque[list[bytes]] = deque()


class PutJobs:
    """Carries out the puts of others."""

    __slots__ = ("_composer", "_ctx", "_persistence", "_replies", "_storage", "_verification")

    def __init__(
        self,
        ctx: CoreContext,
        storage: Storage,
        verification: Verification,
        persistence: Persistence,
        replies: Replies,
        composer: Composer,
    ) -> None:
        self._ctx = ctx
        self._storage = storage
        self._verification = verification
        self._persistence = persistence
        self._replies = replies
        self._composer = composer

    def run(self, put: Put, source: Address, *, keep: bool) -> None:
        """Handle a put whose key and token were found good.

        Args:
            keep: False if enough other nodes are closer to the key: store nothing, but answer as if stored
                (S-33).
        """
        now = self._ctx.now
        created = now.mono
        if put.created is not None:
            created -= max(0.0, now.unix - max(0, put.created))
        answers = _Answers(source)
        for value in put.values:
            slot: list[bytes] = []
            answers.datagrams.append(slot)
            if not value.id:
                slot.append(self._composer.error(put.tid, INVALID, b"Invalid value id"))
                self._flush(answers)
                return
            answer = partial(self._answer, answers, slot, put.tid, value.id)
            if keep:
                self._offer(put.key, value, created, source, answer)
            else:
                self._ctx.counters.values["refused: too far from the key"] += 1
                answer()

    def refresh(self, key: InfoHash, value_id: int, answer: Callable[[], None]) -> bool:
        """Start the life of a stored value again and answer; False if it is not stored."""
        stored = self._storage.get(key, value_id)
        if stored is None:
            return False
        self._storage.refresh(key, value_id)
        self._persistence.commit_refreshed(stored, answer)
        return True

    def adopt(self, key: InfoHash, value: Value, created: float, source: Address) -> None:
        """Take over a value that we came across at the node at *source*; nobody waits for an answer.

        Args:
            created: monotonic seconds.
        """
        if value.id:
            self._offer(key, value, created, source, _nobody_waits)

    def _offer(
        self, key: InfoHash, value: Value, created: float, source: Address, answer: Callable[[], None]
    ) -> None:
        packed = pack(value)
        group = source_group(source[0])
        verdict, _ = self._storage.judge(key, value, group, packed=packed, created=created)
        if verdict is Verdict.REFRESH:
            self.refresh(key, value.id, answer)
        elif verdict is Verdict.REFUSE:
            answer()
        elif verdict is Verdict.STORE:
            self._store(key, value, packed, created, group, answer)
        else:
            then = partial(self._on_verified, key, value, packed, created, group, answer)
            self._verification.check(value, group, then)

    def _on_verified(
        self,
        key: InfoHash,
        value: Value,
        packed: bytes,
        created: float,
        group: str,
        answer: Callable[[], None],
        valid: bool,
    ) -> None:
        if valid:
            self._store(key, value, packed, created, group, answer)
        else:
            answer()

    def _store(
        self,
        key: InfoHash,
        value: Value,
        packed: bytes,
        created: float,
        group: str,
        answer: Callable[[], None],
    ) -> None:
        stored = self._storage.store(key, value, packed, created=created, source=group)
        if stored is None:
            answer()
        else:
            self._persistence.commit(stored, answer)

    def _answer(self, answers: _Answers, slot: list[bytes], tid: int, value_id: int) -> None:
        slot.append(self._composer.put_reply(tid, value_id, answers.to))
        self._flush(answers)

    def _flush(self, answers: _Answers) -> None:
        while answers.datagrams and answers.datagrams[0]:
            self._replies.send_one(answers.to, answers.datagrams.popleft()[0])


def _nobody_waits() -> None:
    """The answer to an offer that nobody made."""
