"""``kill -9`` while values are written: nothing acknowledged is lost or older. Source: reliability, T23.

A child process writes revisions of 400 values without end and prints the ticket of each change on disk; it
is killed after a random number of them. Ticket t is revision t // 400 of value t % 400, so both sides know
every byte. The same database goes through all kills. ``DNA_DHT_KILLS`` sets how many (10).
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from dna_dht.store.port import Row
from dna_dht.store.sqlite import SqliteStore
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

KILLS = int(os.environ.get("DNA_DHT_KILLS", "10"))
PLACES = 400
CHILD = """
import importlib.util, os, sys
from pathlib import Path
from dna_dht.store.sqlite import SqliteStore
from dna_dht.store.writer import StoreWriter

spec = importlib.util.spec_from_file_location("shared", sys.argv[3])
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)

def committed(tickets, on_disk):
    assert on_disk
    os.write(1, "".join(f"{ticket}\\n" for ticket in tickets).encode())

writer = StoreWriter(SqliteStore(Path(sys.argv[1])), committed)
ticket = int(sys.argv[2])
while True:
    if writer.submit(shared.row(ticket), ticket):
        ticket += 1
    else:
        writer.flush()
"""


def row(ticket: int) -> Row:
    """What ticket number *ticket* stores."""
    place, seq = ticket % PLACES, ticket // PLACES
    owner = bytes((place % 3,)) * 2592
    value = Value(
        id=place + 1, type=0x1002, data=b"%d " % ticket * 100, seq=seq, owner=owner, signature=b"s" * 4627
    )
    key = InfoHash.of(bytes((place % 7,)))
    return Row(key, value.id, pack(value), value.type, seq, 1000 + ticket, None)


def write_and_kill(path: Path, first: int, after: int) -> list[int]:
    """What a child acknowledged that wrote from ticket *first* on and was killed after *after* of them."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, path, str(first), __file__], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after)]
        child.kill()
        lines += child.stdout.read().splitlines(keepends=True)
    assert lines[0], "the child failed before it wrote anything"
    return [int(line) for line in lines if line.endswith(b"\n")]


def test_no_acknowledged_value_is_lost_or_older(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    rng = Random(23)
    acknowledged: dict[int, int] = {}  # place -> newest acknowledged ticket
    first = 0
    for kill in range(KILLS):
        tickets = write_and_kill(path, first, after=rng.randint(1, 1500))
        acknowledged.update((ticket % PLACES, ticket) for ticket in tickets)

        with SqliteStore(path) as store:
            stored = {found.value_id - 1: found for found in store.load_all()}
            assert store.stats().values == len(stored)
        for place, ticket in acknowledged.items():
            assert stored[place].seq >= ticket // PLACES, f"{kill=} {place=}: older than acknowledged"
        for place, found in stored.items():
            assert found == row(found.seq * PLACES + place), f"{kill=} {place=}: not what was written"
        first = max(found.seq for found in stored.values()) * PLACES + PLACES
