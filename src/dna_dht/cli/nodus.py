"""dna-nodus: the bootstrap server. Options: seed, 7.2; spec 04, 18.1."""

import os
import sys
from pathlib import Path

import click

from dna_dht import __version__
from dna_dht.cli.failures import Exit
from dna_dht.cli.options import parse_endpoint, parsed
from dna_dht.nodus.networks import NETWORKS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-p", "port", type=click.IntRange(0, 65_535), metavar="PORT", help="UDP port (4000); 0: any.")
@click.option("-i", "identity", metavar="NAME", help="Label for people (dna-bootstrap-node).")
@click.option(
    "-s",
    "path",
    metavar="PATH",
    help="Base path of the data: PATH, PATH.values.db, PATH.identity.*. Default: the user's data directory,"
    " for root /var/lib/dna-dht. '' keeps everything in memory.",
)
@click.option(
    "-b",
    "bootstrap",
    metavar="HOST:PORT",
    multiple=True,
    callback=parsed(parse_endpoint),
    help="Node to join through, at most 5. Default: none, a network of its own.",
)
@click.option(
    "--network", "network_name", type=click.Choice(sorted(NETWORKS)), help="Join a named public network."
)
@click.option("--network-id", "network", type=click.IntRange(0, 2**32 - 1), help="Number of the network (0).")
@click.option("--bind", multiple=True, metavar="IP", help="Listen on this address only; one a family.")
@click.option("--public-ip", metavar="IP", help="Address to show as ours. Default: detect.")
@click.option(
    "--verifier",
    type=click.Choice(["cryptography", "liboqs"]),
    help="What checks signatures (cryptography). liboqs, if you have installed it, is several times faster.",
)
@click.option("--system", is_flag=True, help="Keep the data in /var/lib/dna-dht also when not root.")
@click.option("--fix-permissions", is_flag=True, help="Make a secret key private that others may read.")
@click.option("-v", "verbose", is_flag=True, help="Verbose logging.")
@click.version_option(__version__, message="dna-nodus v%(version)s")
def main(
    port: int | None,
    identity: str | None,
    path: str | None,
    bootstrap: tuple[str, ...],
    network_name: str | None,
    network: int | None,
    bind: tuple[str, ...],
    public_ip: str | None,
    verifier: str | None,
    system: bool,
    fix_permissions: bool,
    verbose: bool,
) -> None:
    """Run a bootstrap node of the post-quantum DHT, with its values kept in SQLite.

    It prints one line of statistics a minute, stops at SIGINT or SIGTERM within 5 seconds, and at a second
    one at once.

    Exit codes: 0 stopped, 1 could not start or failed, 2 wrong settings, 3 database or identity unusable.
    """
    from dna_dht.errors import ConfigError
    from dna_dht.nodus.config import NodusConfig, default_persistence_path
    from dna_dht.nodus.daemon import run

    named = NETWORKS[network_name] if network_name else ()
    default = default_persistence_path(os.environ, system=system or os.geteuid() == 0)
    persistence = default if path is None else Path(path) if path else None
    flags = {
        "port": port,
        "identity": identity,
        "bootstrap": tuple(dict.fromkeys((*bootstrap, *named))) or None,
        "network": network,
        "bind": bind or None,
        "public_ip": public_ip,
        "verifier": verifier,
        "fix_permissions": fix_permissions or None,
        "verbose": verbose or None,
    }
    try:
        config = NodusConfig.layered(flags, {"persistence_path": persistence})
    except ConfigError as error:
        click.echo(f"dna-nodus: {error}", err=True)
        sys.exit(Exit.USAGE)
    sys.exit(run(config))


if __name__ == "__main__":
    main(prog_name="dna-nodus")
