import asyncio
import socket
from collections.abc import Sequence

import pytest

from dna_dht.core.effects import StatusChanged
from dna_dht.errors import NetworkError
from dna_dht.node import joining
from dna_dht.node.joining import Joiner
from dna_dht.node.status import StatusBoard
from dna_dht.runtime.resolve import HostPort
from dna_dht.wire.address import Address

LITERAL = HostPort("192.0.2.1", 4000)
NAME = HostPort("bootstrap.example", 4001)
CONNECTED = StatusChanged("connected", "disconnected")


class Names:
    """A name server: answers with *answers* in turn, the last one for ever."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host == LITERAL.host:
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (host, port))]
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (answer, port))]


class Contacts(list[list[Address]]):
    """What was handed to the core, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def add(self, addresses: Sequence[Address]) -> None:
        self.append(list(addresses))
        self.changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(joining, "LAST_DELAY", 0.004)
    monkeypatch.setattr(joining, "LOST", 0.01)


def joiner(contacts: Contacts, board: StatusBoard, *places: HostPort) -> Joiner:
    return Joiner(places, contacts.add, board, ipv4=True, ipv6=False)


async def test_plain_addresses_are_contacted_once_and_that_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(None))
    contacts = Contacts()
    await asyncio.wait_for(joiner(contacts, StatusBoard(), LITERAL, LITERAL).run(), 5)

    assert contacts == [[LITERAL]]


async def test_a_name_that_does_not_resolve_delays_nobody_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(None, None, "192.0.2.7")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    contacts = Contacts()
    running = asyncio.ensure_future(joiner(contacts, StatusBoard(), LITERAL, NAME).run())
    await contacts.reach(3)
    running.cancel()

    assert contacts == [[LITERAL], [LITERAL], [LITERAL, ("192.0.2.7", 4001)]]
    assert caplog.text.count("cannot resolve bootstrap.example") == 1


async def test_names_are_resolved_anew_after_a_lasting_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names("192.0.2.7", "192.0.2.8")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    contacts, board = Contacts(), StatusBoard()
    board.show(CONNECTED)
    running = asyncio.ensure_future(joiner(contacts, board, LITERAL, NAME).run())
    await contacts.reach(1)
    await asyncio.sleep(0.03)
    assert names.asked == 1

    board.show(StatusChanged("connecting", "disconnected"))
    await contacts.reach(2)
    running.cancel()

    assert contacts == [[LITERAL, ("192.0.2.7", 4001)], [("192.0.2.8", 4001)]]


async def test_the_end_of_the_node_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names("192.0.2.7"))
    contacts, board = Contacts(), StatusBoard()
    board.show(CONNECTED)
    running = asyncio.ensure_future(joiner(contacts, board, NAME).run())
    await contacts.reach(1)
    board.close()

    with pytest.raises(NetworkError, match="stopped"):
        await asyncio.wait_for(running, 5)
