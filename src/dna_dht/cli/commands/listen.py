"""dna-dht listen: print what changes under a key."""

from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import (
    Key,
    NetworkOptions,
    json_option,
    key_argument,
    network_options,
    owner_option,
    quiet_option,
    value_id_option,
)
from dna_dht.wire.infohash import InfoHash

if TYPE_CHECKING:
    from dna_dht.node import Change

_READY_LIMIT = 15.0  # seconds to find a node when --timeout does not say


@click.command(short_help="Print changes under a key.")
@key_argument
@value_id_option
@owner_option
@click.option("--count", type=click.IntRange(1), help="End after this many changes.")
@network_options(default_timeout=None)
@quiet_option
@json_option
def listen(
    key: Key,
    value_id: int | None,
    owner: InfoHash | None,
    count: int | None,
    network: NetworkOptions,
    quiet: bool,
    as_json: bool,
) -> None:
    """Print each change of the values under KEY until interrupted, or until --count or --timeout.

    Values that exist already come first, as added. Exit code 4 if --timeout ends it before anything came.
    """
    import contextlib

    from dna_dht.cli.session import client, run

    network.require_bootstrap()
    seen = 0

    async def main() -> None:
        nonlocal seen
        async with client(network, ready_limit=_READY_LIMIT) as node:
            async with node.listen(key.hash, owner=owner, value_id=value_id) as changes:
                if not quiet:
                    click.echo(f"listening to {key.text} (key {key.hash})", err=True)
                async for change in changes:
                    _show(key, change, as_json)
                    seen += 1
                    if seen == count:
                        return
            raise Failure("the node stopped", Exit.NO_ANSWER)

    async def limited() -> None:
        try:
            await main()
        except TimeoutError:
            if not seen:
                raise Failure(f"nothing changed under {key.text} in time", Exit.NOT_FOUND) from None

    with contextlib.suppress(KeyboardInterrupt):  # the way it is meant to end
        run(limited)


def _show(key: Key, change: "Change", as_json: bool) -> None:
    import time

    from dna_dht.cli.render import preview, print_json, rfc3339, value_fields

    now, kind, value = rfc3339(time.time()), type(change).__name__.lower(), change.value
    if as_json:
        print_json({"time": now, "change": kind, "key": key.hash.hex(), **value_fields(value)})
    else:
        click.echo(f"{now} {kind} id {value.id} seq {value.seq} by {value.owner_id}: {preview(value.data)}")
