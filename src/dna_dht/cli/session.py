"""The client node behind a command: started on a free port, ready, and stopped whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from dna_dht.cli.failures import Exit, Failure, failure_of
from dna_dht.cli.options import NetworkOptions
from dna_dht.core.config import CoreConfig
from dna_dht.crypto.identity import NodeIdentity
from dna_dht.errors import DhtError
from dna_dht.node import Node, NodeConfig

_READY_SHARE = 0.95  # of the command's time, so that what is reported is what was missing: a connection

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
    logging.getLogger("dna_dht.runtime.udp").setLevel(logging.ERROR)  # small socket buffers hurt servers only
    async with Node(config) as node:
        yield node


@asynccontextmanager
async def client(
    options: NetworkOptions, identity: NodeIdentity | None = None, *, ready_limit: float | None = None
) -> AsyncIterator[Node]:
    """The same, connected; NotConnectedError if no node answers in time.

    *ready_limit*: seconds for that if the command has no time limit.
    """
    async with unconnected_client(options, identity) as node:
        await node.ready(timeout=ready_limit if options.timeout is None else _READY_SHARE * options.timeout)
        yield node


def run(main: Callable[[], Coroutine[Any, Any, Answer]], seconds: float | None) -> Answer:
    """Run *main* for at most *seconds*; what goes wrong becomes a Failure."""

    async def limited() -> Answer:
        async with asyncio.timeout(seconds):
            return await main()

    try:
        return asyncio.run(limited())
    except DhtError as error:
        raise failure_of(error) from error
    except TimeoutError as error:
        raise Failure(
            f"no answer within {seconds:g} seconds: check the -b address, or give a longer --timeout",
            Exit.NO_ANSWER,
        ) from error
