"""Accept and refuse decisions of a storing node, and what its listener is told
(engine-put-decisions.json).
"""

import json
from pathlib import Path
from typing import Any

from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import ANY

from .scripted import Scripted

VECTORS = Path(__file__).parents[1] / "vectors"
STEPS = json.loads((VECTORS / "engine-put-decisions.json").read_text())["steps"]
OWNERS = {"A": 3, "B": 4}
UNKNOWN_ID = 999  # a refresh of an id that is not stored: 404 where the reference says success (S-8)


def test_recorded_decisions() -> None:
    world = Scripted()
    key = InfoHash.of(b"decisions")
    world.listen({"sid": 5, "peer": 2}, key)

    for step in STEPS:
        reply = _play(world, step, key)
        pushed = [_pushed(update) for update in world.collect(2, 0.4)]
        stored = sorted([value.id, value.seq] for value in _stored(world, key))
        expected_reply, expected_push = step["reply"], step["pushed_to_listener"]
        if step["op"] == "refresh" and step["id"] == UNKNOWN_ID:
            expected_reply, expected_push = {"error": 404}, []
        assert reply == expected_reply, step["desc"]
        assert pushed == expected_push, step["desc"]
        assert stored == step["stored_id_seq"], step["desc"]


def _play(world: Scripted, step: dict[str, Any], key: InfoHash) -> dict[str, int]:
    token = {"token": "bad"} if step.get("token") == "bad" else {}
    if step["op"] == "refresh":
        asked = key if step["known_key"] else InfoHash.of(b"unknown")
        (reply,) = world.refresh({"vid": step["id"], **token}, asked)
    else:
        value = {"id": step["id"], "type": step["type"], "data": step["data"].encode().hex()}
        if step["owner"] is None:
            value |= {"unsigned": True}
        else:
            value |= {"seed": OWNERS[step["owner"]], "seq": step["seq"], "fresh": step["fresh_signature"]}
            value |= {"tamper": step["signature"] != "ok"}
        created = {} if step["created_offset_s"] is None else {"c": step["created_offset_s"]}
        (reply,) = world.put({"values": [value], **token, **created}, key)
    return {"error": reply["error"]} if "error" in reply else {"vid": reply["vid"]}


def _pushed(update: dict[str, Any]) -> Any:
    if "values" in update:
        return "values"
    return {"refreshed": update["re"]} if "re" in update else {"expired": update["exp"]}


def _stored(world: Scripted, key: InfoHash) -> list[Any]:
    return world.core.storage.find(key, ANY)
