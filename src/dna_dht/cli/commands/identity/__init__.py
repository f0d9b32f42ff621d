"""dna-dht identity: the keys of a user in a data directory."""

import click

from dna_dht.cli.commands.identity.export import export
from dna_dht.cli.commands.identity.import_ import import_
from dna_dht.cli.commands.identity.lock_status import lock_status
from dna_dht.cli.commands.identity.new import new
from dna_dht.cli.commands.identity.passwd import passwd
from dna_dht.cli.commands.identity.restore import restore
from dna_dht.cli.commands.identity.show import show


@click.group(short_help="Your identity: words, keys and password.")
def identity() -> None:
    """Make, restore and look after the identity in a data directory.

    An identity follows from its recovery words: the same words give the same keys everywhere. Words and
    passwords are asked for or read from files, never taken from the command line.
    """


for _command in (new, restore, show, export, import_, passwd, lock_status):
    identity.add_command(_command)
