"""What the identity commands do about secrets that other users may access."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dna_dht.cli import secret_input

if TYPE_CHECKING:
    from dna_dht.keystore.keystore import Keystore

option = click.option(
    "--fix-permissions", is_flag=True, help="Take other users' permissions on secret files away."
)


def look_at(keystore: "Keystore", fix: bool) -> None:
    """Mend open permissions if *fix*, or if the user at the terminal agrees; else warn of them."""
    exposed = keystore.exposed()
    if not exposed:
        return
    if not fix:
        if not secret_input.at_terminal():
            _tell(keystore, exposed)
            return
        names = ", ".join(map(str, exposed))
        fix = click.confirm(f"Other users may access secrets ({names}). Make them private?", err=True)
    if fix:
        for path in keystore.make_private():
            click.echo(f"dna-dht: made {path} private", err=True)


def warn_of(keystore: "Keystore") -> None:
    """Warn of open permissions in a command that does not mend them."""
    if keystore.holds_identity() and (exposed := keystore.exposed()):
        _tell(keystore, exposed)


def _tell(keystore: "Keystore", exposed: tuple[Path, ...]) -> None:
    names, directory = ", ".join(map(str, exposed)), shlex.quote(str(keystore.directory))
    click.echo(
        f"dna-dht: other users may access secrets ({names}):"
        f" run: dna-dht identity show --fix-permissions --data-dir {directory}",
        err=True,
    )
