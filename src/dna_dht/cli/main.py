"""dna-dht: put, get and watch values of the DHT from a shell."""

import errno
import io
import sys
from typing import Any

import click

from dna_dht import __version__
from dna_dht.cli.commands.get import get
from dna_dht.cli.commands.identity import identity
from dna_dht.cli.commands.info import info
from dna_dht.cli.commands.keygen import keygen
from dna_dht.cli.commands.listen import listen
from dna_dht.cli.commands.lookup import lookup
from dna_dht.cli.commands.ping import ping
from dna_dht.cli.commands.put import put
from dna_dht.cli.failures import Exit, Failure

_EPILOG = """Exit codes: 0 done, 1 error, 2 wrong usage, 3 identity unusable, 4 nothing found, 5 no answer,
6 bad signature, 130 interrupted.

Example:

\b
  dna-dht put -b 127.0.0.1:4000 text:greeting 'hello'
  dna-dht get -b 127.0.0.1:4000 text:greeting
"""


class _Commands(click.Group):
    """The group, with an exit code for Ctrl-C at any moment, and a sentence when output goes nowhere."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # Abort: the same at a prompt
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader has seen enough: click ends with 1, without a word
                raise
            raise Failure(f"cannot write the output: {error.strerror or error}") from error


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="dna-dht v%(version)s")
def main() -> None:
    """Put, get and watch values of a post-quantum DHT.

    Every command but keygen and identity starts a short-lived client node and needs a node to start from:
    -b HOST:PORT.

    Keys are written text:WORDS, or hex:DIGITS (40 digits are the id itself, more are hashed).
    """


for _command in (put, get, listen, ping, lookup, info, keygen, identity):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="dna-dht")
