"""The client node behind a command: started on a free port, ready, and stopped whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from dna_dht.cli.failures import Exit, Failure, failure_of
from dna_dht.cli.options import NetworkOptions
from dna_dht.core.config import CoreConfig
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import DhtError
from dna_dht.node import Node, NodeConfig

Answer = TypeVar("Answer")


@asynccontextmanager
async def unconnected_client(
    options: NetworkOptions, identity: NodeIdentity | None = None
) -> AsyncIterator[Node]:
    """A client node on a free port, with a new id each time: others neither list it nor store on it."""
    config = NodeConfig(
        core=CoreConfig(
            network=options.network,
            client_mode=True,
            maintenance="off",
            ipv4=options.ipv4,
            ipv6=options.ipv6,
        ),
        bootstrap=options.bootstrap,
        identity=identity,
        random_id=True,
    )
    with _without_advice_for_servers():
        async with Node(config) as node:
            yield node


@asynccontextmanager
async def client(
    options: NetworkOptions, identity: NodeIdentity | None = None, *, ready_limit: float | None = None
) -> AsyncIterator[Node]:
    """The same, connected, for the time the command has left; then TimeoutError.

    Raises NotConnectedError if no node answers in that time, or in *ready_limit* seconds if it has no limit.
    """
    async with unconnected_client(options, identity) as node:
        started = asyncio.get_running_loop().time()
        await node.ready(timeout=ready_limit if options.timeout is None else options.timeout)
        async with asyncio.timeout_at(None if options.timeout is None else started + options.timeout):
            yield node


def run(main: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """Run *main*; what goes wrong becomes a Failure."""
    try:
        return asyncio.run(main())
    except DhtError as error:
        raise failure_of(error) from error
    except TimeoutError as error:
        raise Failure(
            "no answer in time: check the -b address, or give a longer --timeout", Exit.NO_ANSWER
        ) from error


@contextmanager
def _without_advice_for_servers() -> Iterator[None]:
    """Small socket buffers lose bursts of values, which a single command does not see."""
    log = logging.getLogger("dna_dht.runtime.udp")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
