"""Words and passwords from a terminal, standard input or a file: never from arguments or the environment."""

import contextlib
import shlex
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import click

from dna_dht.cli.failures import Exit, Failure

_LONGEST_WORDS = 4_096  # bytes read of standard input; 24 words have at most 215
_MOST_WORDS = 24  # of recovery words; after them no more is waited for
_LONGEST_PASSWORD = 4_096  # bytes of the first line of a password file


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def read_words() -> str:
    """Recovery words, typed at the terminal or piped in; Failure (exit 2) if there are none to read."""
    if at_terminal():
        try:
            return _asked(_typed_words)
        finally:
            _forget_typed_ahead()
    if sys.stdin is None:
        raise Failure("cannot read the recovery words: standard input is closed", Exit.USAGE)
    try:
        data = sys.stdin.buffer.read(_LONGEST_WORDS + 1)
    except OSError as error:
        raise Failure(f"cannot read standard input: {error.strerror or error}", Exit.USAGE) from error
    if len(data) > _LONGEST_WORDS:
        raise Failure("standard input holds more than recovery words: give the words only", Exit.USAGE)
    try:
        return data.decode("utf-8-sig")  # some editors put a mark before the text
    except UnicodeDecodeError:
        raise Failure("standard input holds no text: give the recovery words", Exit.USAGE) from None


def ask_password(question: str = "Password") -> str:
    """A password from the terminal, not shown."""
    return _password(lambda: click.prompt(question, hide_input=True, err=True))


def ask_new_password(question: str = "New password (empty: none)") -> str | None:
    """A new password from the terminal, asked for again until both are the same; None if nothing is typed."""
    while True:
        first = _hidden(question)
        if not first:
            return None
        if _hidden("Again") == first:
            return first
        click.echo("The two are not the same: type the password once more.", err=True)


def password_in(path: Path) -> str:
    """The first line of the file at *path*, without its line end; Failure (exit 2) if there is none.

    Warns of a file that other users may access.
    """
    from dna_dht.private_files import is_exposed

    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_PASSWORD + 1)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror or error}", Exit.USAGE) from error
    password = line.removesuffix(b"\n").removesuffix(b"\r")
    if not password or len(password) > _LONGEST_PASSWORD or b"\0" in password:
        raise Failure(
            f"{path}: its first line has to be the password, 1 to {_LONGEST_PASSWORD:,} bytes", Exit.USAGE
        )
    if is_exposed(path):
        click.echo(
            f"dna-dht: other users may access {path}: run 'chmod 600 {shlex.quote(str(path))}'", err=True
        )
    return password.decode("utf-8", "surrogateescape")


def _typed_words() -> str:
    """Lines typed at the terminal, up to an empty one or the 24th word; click.Abort at the end of input."""
    typed = ""
    click.echo("Recovery words, an empty line ends them: ", nl=False, err=True)
    while len(typed.split()) < _MOST_WORDS:
        line = sys.stdin.buffer.readline(_LONGEST_WORDS)
        if not line.endswith(b"\n"):
            click.echo(err=True)
            raise click.Abort
        if not line.strip() and typed:
            break
        typed += line.decode().lstrip() if not typed else line.decode()
        if len(typed) > _LONGEST_WORDS:
            raise Failure("these are more than recovery words: give the words only", Exit.USAGE)
    return typed


def _forget_typed_ahead() -> None:
    """Drop what was typed and not read: the shell would take the rest of pasted words for a command."""
    with contextlib.suppress(OSError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _hidden(question: str) -> str:
    """An answer that is not shown and may be empty."""
    return _password(
        lambda: click.prompt(question, default="", show_default=False, hide_input=True, err=True)
    )


def _password(ask: Callable[[], str]) -> str:
    """What *ask* gets; Failure (exit 2) if it cannot be a password."""
    answer = _asked(ask)
    if "\0" in answer:
        raise Failure("a password cannot hold a NUL character: type another one", Exit.USAGE)
    return answer


def _asked(ask: Callable[[], str]) -> str:
    """What *ask* gets; Failure (exit 2) if the terminal sends something that is no text."""
    try:
        return str(ask())
    except UnicodeDecodeError:
        raise Failure("the terminal sent no UTF-8 text: check its character encoding", Exit.USAGE) from None
