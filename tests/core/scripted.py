"""Hand-made peers that speak to one core in virtual time, and note what it answers in the words of the
vectors.
"""

from random import Random
from typing import Any

import msgpack

from dna_dht.core.config import CoreConfig
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import PersistRequested, VerifyRequested
from dna_dht.core.instant import Instant
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes

START = Instant(10_000.0, 1_700_000_000.0)
PART = 1280

_keys: dict[int, SigningKey] = {}
_signed: dict[tuple[int, bytes, bool], bytes] = {}


def key_of(seed: int) -> SigningKey:
    """The identity of the seed byte repeated 32 times."""
    if seed not in _keys:
        _keys[seed] = SigningKey(bytes([seed]) * 32)
    return _keys[seed]


def signed_value(
    seed: int, *, id: int, type: int, seq: int, data: bytes, user_type: bytes = b"", fresh: bool = False
) -> Value:
    """A validly signed value; the same arguments give the same signature."""
    key = key_of(seed)
    unsigned = Value(id=id, type=type, data=data, user_type=user_type, seq=seq, owner=key.public_key)
    body = signed_bytes(unsigned)
    memory = (seed, body, fresh)
    if memory not in _signed:
        _signed[memory] = key.sign(body)
    return Value(
        id=id,
        type=type,
        data=data,
        user_type=user_type,
        seq=seq,
        owner=key.public_key,
        signature=_signed[memory],
    )


def vector_value(entry: dict[str, Any]) -> bytes:
    """The packed value that a vector describes."""
    if "raw" in entry:
        return bytes.fromhex(entry["raw"])
    data = bytes(entry["zeros"]) if "zeros" in entry else bytes.fromhex(entry["data"])
    if entry.get("unsigned"):
        return pack(Value(id=entry["id"], type=entry["type"], data=data))
    value = signed_value(
        entry["seed"],
        id=entry["id"],
        type=entry["type"],
        seq=entry["seq"],
        data=data,
        user_type=entry.get("utype", "").encode(),
        fresh=entry.get("fresh", False),
    )
    packed = pack(value)
    if entry.get("tamper"):
        packed = packed[:-1] + bytes([packed[-1] ^ 1])
    return packed


class Scripted:
    """One storing core and its peers, numbered from 1."""

    def __init__(self, config: CoreConfig | None = None) -> None:
        self.now = START
        self.core = DhtCore(config or CoreConfig(), InfoHash.of(b"storing node"), rng=Random(7), now=START)
        self.inboxes: dict[int, list[dict[str, Any]]] = {}
        self.tokens: dict[int, bytes] = {}
        self._raw: dict[int, list[dict[str, Any]]] = {}
        self._tid = 1000

    # -- one step of a vector

    def put(self, step: dict[str, Any], key: InfoHash) -> list[dict[str, Any]]:
        peer = step.get("peer", 1)
        packed = [vector_value(entry) for entry in step["values"]]
        inline = step.get("inline", False)
        announce = step.get("announce", [0] * len(packed))
        body: dict[str, Any] = {"id": self.id_of(peer), **self._key_field(step, key)}
        if inline:
            body["values"] = [msgpack.unpackb(each, strict_map_key=False) for each in packed]
        else:
            body["values"] = [len(each) + more for each, more in zip(packed, announce, strict=True)]
        if "c" in step:
            body["c"] = step["c"] if step.get("abs") else int(self.now.unix) + step["c"]
        body["token"] = self._token_for(step, peer)
        tid = self.new_tid()
        header = self._request("put", body, tid)
        size = step.get("part_size", PART)
        parts = []
        for index, each in enumerate([] if inline else packed):
            for offset in range(0, len(each), size):
                piece = {"o": offset, "d": each[offset : offset + size]}
                parts.append(msgpack.packb({"y": "p", "t": tid, "p": {index: piece}}))
        order = step.get("sequence", ["h", *range(len(parts))])
        pause = step.get("pause")
        for position, which in enumerate(order):
            if pause and position == pause[0]:
                self.wait(pause[1])
            sender = 3 if step.get("parts_from_other_peer") and which != "h" else peer
            self.send(sender, header if which == "h" else parts[which])
        return self.collect(peer, step.get("wait", 0.4))

    def get(self, step: dict[str, Any], key: InfoHash) -> list[dict[str, Any]]:
        body: dict[str, Any] = {"id": self.id_of(step.get("peer", 1)), **self._key_field(step, key)}
        if "query" in step:
            body["q"] = _query(step["query"])
        return self._ask(step, "get", body)

    def refresh(self, step: dict[str, Any], key: InfoHash) -> list[dict[str, Any]]:
        peer = step.get("peer", 1)
        body = {
            "id": self.id_of(peer),
            **self._key_field(step, key),
            "vid": step["vid"],
            "token": self._token_for(step, peer),
        }
        return self._ask(step, "refresh", body)

    def listen(self, step: dict[str, Any], key: InfoHash) -> list[dict[str, Any]]:
        peer = step.get("peer", 1)
        body = {
            "id": self.id_of(peer),
            "ve": 1,
            **self._key_field(step, key),
            "token": self._token_for(step, peer),
            "sid": step["sid"],
        }
        if "query" in step:
            body["q"] = _query(step["query"])
        return self._ask(step, "listen", body)

    def receive(self, step: dict[str, Any], key: InfoHash) -> list[dict[str, Any]]:
        return self.collect(step["peer"], step["seconds"])

    def sleep(self, step: dict[str, Any], key: InfoHash) -> None:
        self.wait(step["seconds"])

    # -- means

    def id_of(self, peer: int) -> bytes:
        return InfoHash.of(b"peer %d" % peer)

    def address_of(self, peer: int) -> Address:
        return ("127.0.0.1", 20_000 + peer)

    def new_tid(self) -> int:
        self._tid += 1
        return self._tid

    def send(self, peer: int, datagram: bytes) -> None:
        self.core.receive(datagram, self.address_of(peer), self.now)
        self.pump()

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now.mono + seconds
        while (due := self.core.next_wakeup()) is not None and due <= end:
            self._at(max(due, self.now.mono))
            self.core.on_timer(self.now)
            self.pump()
        self._at(end)

    def pump(self) -> None:
        """Deliver what the core sends; peers confirm updates and answer pings."""
        busy = True
        while busy:
            busy = False
            for transmit in self.core.take_transmits():
                busy = True
                self._arrive(transmit.destination[1] - 20_000, transmit.payload)
            for event in self.core.take_events():
                busy = True
                if isinstance(event, VerifyRequested):
                    valid = verify(event.owner, event.signature, event.message)
                    self.core.verified(event.job, valid, self.now)
                elif isinstance(event, PersistRequested):
                    self.core.persisted(event.ticket, True, self.now)

    def collect(self, peer: int, seconds: float) -> list[dict[str, Any]]:
        """What *peer* received so far and within *seconds*."""
        self.wait(seconds)
        return self.inboxes.pop(peer, [])

    def token(self, peer: int) -> bytes:
        """A valid token of *peer*, fetched with a find."""
        if peer not in self.tokens:
            body = {"id": self.id_of(peer), "target": self.id_of(peer)}
            self.send(peer, self._request("find", body, self.new_tid()))
            self.inboxes.pop(peer, None)
        return self.tokens[peer]

    def _at(self, mono: float) -> None:
        self.now = Instant(mono, START.unix + mono - START.mono)

    def _ask(self, step: dict[str, Any], name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        peer = step.get("peer", 1)
        self.send(peer, self._request(name, body, self.new_tid()))
        return self.collect(peer, step.get("wait", 0.4))

    def _request(self, name: str, body: dict[str, Any], tid: int) -> bytes:
        packed: bytes = msgpack.packb({"a": body, "q": name, "t": tid, "y": "q", "v": "o2"})
        return packed

    def _key_field(self, step: dict[str, Any], key: InfoHash) -> dict[str, bytes]:
        return {"none": {}, "zero": {"h": bytes(20)}}.get(step.get("key", ""), {"h": bytes(key)})

    def _token_for(self, step: dict[str, Any], peer: int) -> bytes:
        good = self.token(peer)
        return {
            "bad": bytes(32),
            "31 bytes": good[:31],
            "33 bytes": good + b"\0",
            "none": b"",
            "of another peer": self.token(9),
        }.get(step.get("token", ""), good)

    def _arrive(self, peer: int, payload: bytes) -> None:
        message = msgpack.unpackb(payload, strict_map_key=False)
        if message["y"] == "p":
            return
        if message["y"] == "q":
            answer = {"r": {"id": self.id_of(peer), "sa": b"\x7f\0\0\1"}, "t": message["t"], "y": "r"}
            if message["q"] == "update":
                self.inboxes.setdefault(peer, []).append(_update(message["a"]))
            if message["q"] == "find":
                answer["r"]["token"] = bytes(32)
            if message["q"] in ("update", "ping", "find"):
                self.core.receive(msgpack.packb(answer), self.address_of(peer), self.now)
            return
        if message["y"] == "e":
            self.inboxes.setdefault(peer, []).append({"error": message["e"][0]})
            return
        body = message["r"]
        if "token" in body:
            self.tokens[peer] = body["token"]
        self.inboxes.setdefault(peer, []).append(_reply(body))


def _query(query: dict[str, Any]) -> dict[str, Any]:
    where = [
        {"f": field, "v": bytes.fromhex(value[4:]) if isinstance(value, str) else value}
        for field, value in query["w"]
    ]
    return {"s": query["s"], "w": where}


def _reply(body: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"reply": sorted(set(body) - {"n4", "n6"})}
    if "vid" in body:
        told["vid"] = body["vid"]
    if "fileds" in body:
        fields, flat = body["fileds"]["f"], body["fileds"]["v"]
        told["f"] = fields
        told["v"] = sorted(flat[i : i + len(fields)] for i in range(0, len(flat), len(fields)))
    if "values" in body:
        told["values"] = sorted(_entry(entry) for entry in body["values"])
    return told


def _update(body: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"update": True, "sid": body["sid"], "has_h_and_ve": "h" in body and "ve" in body}
    if "values" in body:
        told["values"] = [_entry(entry) for entry in body["values"]]
    for name in ("re", "exp"):
        if name in body:
            told[name] = body[name]
    return told


def _entry(entry: Any) -> int:
    size_or_id: int = entry["id"] if isinstance(entry, dict) else entry
    return size_or_id
