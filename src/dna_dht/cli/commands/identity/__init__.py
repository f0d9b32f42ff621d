"""dna-dht identity: the keys of a user in a data directory."""

import click

from dna_dht.cli.commands.identity.export import export
from dna_dht.cli.commands.identity.import_ import import_
from dna_dht.cli.commands.identity.lock_status import lock_status
from dna_dht.cli.commands.identity.new import new
from dna_dht.cli.commands.identity.passwd import passwd
from dna_dht.cli.commands.identity.restore import restore
from dna_dht.cli.commands.identity.show import show


class _Group(click.Group):
    """The group, which does not repeat what may be recovery words in place of a command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"there is no such command: choose one of {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, short_help="Your identity: words, keys and password.")
def identity() -> None:
    """Make, restore and look after the identity in a data directory.

    An identity follows from its recovery words: the same words give the same keys everywhere. Words and
    passwords are asked for or read from files, never taken from the command line.
    """


for _command in (new, restore, show, export, import_, passwd, lock_status):
    identity.add_command(_command)
