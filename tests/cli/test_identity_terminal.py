"""dna-dht identity at a terminal: what it asks for and hides, and Ctrl-C and Ctrl-D at every question."""

import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dna_dht.cli.failures import Exit
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.keystore.keystore import Keystore

Tree = dict[str, tuple[int, bytes]]

_LIMIT = 20  # seconds to wait for a question
_WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
_WORDS_ASKED = ("Recovery words, an empty line ends them: ", f"{_WORDS}\n\n")
_PASSWORD_ASKED = ("Password: ", "correct horse\n")
_NEW_ASKED, _AGAIN_ASKED = (
    ("New password (empty: none): ", "battery staple\n"),
    ("Again: ", "battery staple\n"),
)

# A question ends with a blank, which comes once what is typed is hidden.
_PROGRAM = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dna_dht.cli.main import main
try:
    main(prog_name="dna-dht")
finally:
    left = fcntl.ioctl(0, termios.FIONREAD, bytes(4))
    if any(left):
        print("left to the shell:", int.from_bytes(left, "little"), "bytes")
"""

_CHANGE_ASKED = ("New password: ", "battery staple\n")

Answers = tuple[tuple[str, str], ...]


@pytest.fixture
def protected_dna(tmp_path: Path) -> Path:
    """A data directory under the password "correct horse", as another process expects it."""
    Keystore(tmp_path / "dna").create(Mnemonic(_WORDS), password="correct horse", now=1_769_126_400)
    return tmp_path / "dna"


class Session(NamedTuple):
    """How a command at a terminal ended and what was on the screen; line ends are plain ones."""

    code: int
    screen: str


def terminal(*arguments: object, answers: Answers = (), stdout: int | None = None) -> Session:
    """Run `dna-dht identity` at a terminal of its own; each question is waited for before it is answered."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "identity", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"},
    )
    os.close(theirs)
    screen, seen = b"", 0
    try:
        for question, answer in answers:
            while (at := screen.find(question.encode(), seen)) < 0:
                screen += _more(ours, screen)
            seen = at + len(question.encode())
            _wait_until_asleep(process.pid)
            os.write(ours, answer.encode("utf-8", "surrogateescape"))
        while more := _more(ours, screen, at_end=True):
            screen += more
        code = process.wait(_LIMIT)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return Session(code, screen.decode(errors="replace").replace("\r\n", "\n"))


def _wait_until_asleep(pid: int) -> None:
    """Until the process waits for the answer: Ctrl-C an instant before only counts at the next key."""
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + _LIMIT
    while status.read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _more(descriptor: int, screen: bytes, *, at_end: bool = False) -> bytes:
    """What comes next; nothing if the command has ended, which is an error unless *at_end*."""
    assert select.select([descriptor], [], [], _LIMIT)[0], f"nothing comes after {screen!r}"
    try:
        more = os.read(descriptor, 65_536)
    except OSError:  # Linux: the other side is closed
        more = b""
    assert more or at_end, f"the command ended: {screen!r}"
    return more


def test_new_asks_for_a_password_and_hides_it(tmp_path: Path) -> None:
    done = terminal("new", "--data-dir", tmp_path / "a", answers=(_NEW_ASKED, _AGAIN_ASKED))

    keystore = Keystore(tmp_path / "a")
    assert done.code == Exit.OK
    assert "battery" not in done.screen
    assert keystore.is_protected()
    assert f"\n{keystore.recovery_words('battery staple').words}\n" in done.screen
    assert "Write them down now" in done.screen


def test_an_empty_answer_means_no_password(tmp_path: Path) -> None:
    done = terminal("new", "--data-dir", tmp_path / "a", answers=((_NEW_ASKED[0], "\n"),))
    assert done.code == Exit.OK
    assert "Again" not in done.screen
    assert not Keystore(tmp_path / "a").is_protected()


def test_a_mistyped_password_is_asked_for_again(tmp_path: Path) -> None:
    answers = (_NEW_ASKED, (_AGAIN_ASKED[0], "batery stable\n"), _NEW_ASKED, _AGAIN_ASKED)
    done = terminal("new", "--data-dir", tmp_path / "a", answers=answers)
    assert "The two are not the same: type the password once more." in done.screen
    assert "stable" not in done.screen
    assert Keystore(tmp_path / "a").is_protected()


def test_questions_stay_out_of_the_output(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        answers = (_WORDS_ASKED, _NEW_ASKED, _AGAIN_ASKED)
        arguments = ("restore", "--json", "--data-dir", tmp_path / "a")
        done = terminal(*arguments, answers=answers, stdout=file.fileno())
    assert done.code == Exit.OK
    assert Keystore(tmp_path / "a").recovery_words("battery staple") == Mnemonic(_WORDS)
    assert path.read_text().startswith('{"fingerprint":"')
    assert path.read_text().count("\n") == 1


def test_a_wrong_word_makes_nothing(tmp_path: Path, tree: Callable[[], Tree]) -> None:
    before = tree()
    answers = ((_WORDS_ASKED[0], _WORDS.replace("sausage", "sossage") + "\n\n"),)
    done = terminal("restore", "--data-dir", tmp_path / "a", answers=answers)
    assert done.code == Exit.USAGE
    assert done.screen.endswith(
        "dna-dht: word 6, 'sossage', is not in the list of recovery words: did you mean 'sausage'?\n"
    )
    assert tree() == before


@pytest.mark.parametrize("lines", [1, 3, 12])
@pytest.mark.parametrize("before", ["", "\n  \n"])
def test_words_pasted_over_several_lines(tmp_path: Path, lines: int, before: str) -> None:
    count = 12 // lines
    listed = _WORDS.split()
    pasted = "\n".join(" ".join(listed[at : at + count]) for at in range(0, 12, count))
    answers = ((_WORDS_ASKED[0], f"{before}{pasted}\n\n"), (_NEW_ASKED[0], "\n"))
    done = terminal("restore", "--data-dir", tmp_path / "a", answers=answers)
    assert done.code == Exit.OK
    assert "left to the shell" not in done.screen
    assert Keystore(tmp_path / "a").recovery_words() == Mnemonic(_WORDS)


def test_twenty_four_words_need_no_empty_line(tmp_path: Path) -> None:
    words = Mnemonic.generate(24)
    pasted = words.words.replace(" ", "\n")
    answers = ((_WORDS_ASKED[0], f"{pasted}\n"), (_NEW_ASKED[0], "\n"))
    done = terminal("restore", "--data-dir", tmp_path / "a", answers=answers)
    assert done.code == Exit.OK
    assert Keystore(tmp_path / "a").recovery_words() == words


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("zoo zoo\n\nrm -r /\necho zoo\n", "12, 15, 18, 21 or 24 recovery words are needed, got 2"),
        (f"{'zoo ' * 25}\nrm -r /\n", "12, 15, 18, 21 or 24 recovery words are needed, got 25"),
        ("zoo \udcff\nrm -r /\n", "the terminal sent no UTF-8 text: check its character encoding"),
        (f"{'z' * 4_000}\nz{' ' * 100}z\nzoo\n", "these are more than recovery words: give the words only"),
    ],
    ids=["lines after", "too many", "no text", "long"],
)
def test_what_was_pasted_and_not_read_is_not_left_to_the_shell(
    tmp_path: Path, pasted: str, sentence: str
) -> None:
    done = terminal("restore", "--data-dir", tmp_path / "a", answers=((_WORDS_ASKED[0], pasted),))
    assert done.code == Exit.USAGE
    assert done.screen.endswith(f"dna-dht: {sentence}\n")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("key", ["\x03", "\x04", "\x04\x04"], ids=["Ctrl-C", "Ctrl-D", "Ctrl-D twice"])
@pytest.mark.parametrize("typed", ["legal winner\n", "legal winner\nthank"])
def test_leaving_between_the_words(tmp_path: Path, tree: Callable[[], Tree], typed: str, key: str) -> None:
    before = tree()
    key = "\x04\x04" if not typed.endswith("\n") and key == "\x04" else key  # the first sends the line so far
    done = terminal("restore", "--data-dir", tmp_path / "a", answers=((_WORDS_ASKED[0], typed + key),))
    assert done.code == Exit.INTERRUPTED
    assert tree() == before


def test_the_password_is_asked_for_and_may_be_wrong(protected_dna: Path, tree: Callable[[], Tree]) -> None:
    before = tree()
    arguments = ("show", "--data-dir", protected_dna)
    wrong = terminal(*arguments, answers=((_PASSWORD_ASKED[0], "battery\n"),))
    right = terminal(*arguments, answers=(_PASSWORD_ASKED,))

    assert (wrong.code, right.code) == (Exit.STORAGE, Exit.OK)
    assert wrong.screen == (
        "Password: \ndna-dht: the password is wrong (or the key file is damaged): try again\n"
    )
    assert "password     yes\n" in right.screen
    assert "correct horse" not in right.screen
    assert tree() == before


def test_passwd_asks_for_both(protected_dna: Path) -> None:
    arguments = ("passwd", "--data-dir", protected_dna)
    done = terminal(*arguments, answers=(_PASSWORD_ASKED, _CHANGE_ASKED, _AGAIN_ASKED))
    assert (done.code, done.screen.splitlines()[-1]) == (Exit.OK, "the identity has a new password")
    assert Keystore(protected_dna).recovery_words("battery staple") == Mnemonic(_WORDS)


def test_an_empty_answer_does_not_remove_the_password(protected_dna: Path, tree: Callable[[], Tree]) -> None:
    before = tree()
    answers = (_PASSWORD_ASKED, (_CHANGE_ASKED[0], "\n"))
    done = terminal("passwd", "--data-dir", protected_dna, answers=answers)
    assert (done.code, done.screen.splitlines()[-1]) == (
        Exit.USAGE,
        "dna-dht: no password was typed, so nothing has changed:"
        " say --remove to leave the identity without one",
    )
    assert tree() == before


@pytest.mark.parametrize(("answer", "mode"), [("y", 0o700), ("n", 0o755), ("", 0o755)])
def test_the_offer_to_mend_permissions(dna: Path, answer: str, mode: int) -> None:
    dna.chmod(0o755)
    question = f"Other users may access secrets ({dna}). Make them private? [y/N]: "
    done = terminal("show", "--data-dir", dna, answers=((question, f"{answer}\n"),))
    assert done.code == Exit.OK
    assert (f"dna-dht: made {dna} private\n" in done.screen) == (answer == "y")
    assert "fingerprint  " in done.screen
    assert stat.S_IMODE(dna.stat().st_mode) == mode


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize(
    ("command", "answers"),
    [
        ("new", (_NEW_ASKED,)),
        ("new", (_NEW_ASKED, _AGAIN_ASKED)),
        ("restore", (_WORDS_ASKED,)),
        ("restore", (_WORDS_ASKED, _NEW_ASKED)),
        ("restore", (_WORDS_ASKED, _NEW_ASKED, _AGAIN_ASKED)),
        ("show", (_PASSWORD_ASKED,)),
        ("show", (_PASSWORD_ASKED, ("[y/N]: ", "y\n"))),
        ("export", (_PASSWORD_ASKED,)),
        ("passwd", (_PASSWORD_ASKED,)),
        ("passwd", (_PASSWORD_ASKED, _CHANGE_ASKED)),
        ("passwd", (_PASSWORD_ASKED, _CHANGE_ASKED, _AGAIN_ASKED)),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, tuple) else value,
)
def test_leaving_at_any_question_changes_nothing(
    protected_dna: Path, tmp_path: Path, tree: Callable[[], Tree], command: str, answers: Answers, key: str
) -> None:
    directory = tmp_path / "none" if command in ("new", "restore") else protected_dna
    protected_dna.chmod(0o755)
    before = tree()
    *earlier, (question, _) = answers
    done = terminal(command, "--data-dir", directory, answers=(*earlier, (question, key)))

    assert done.code == Exit.INTERRUPTED
    assert "Traceback" not in done.screen and "Error" not in done.screen
    assert tree() == before


@pytest.mark.parametrize(
    ("command", "question", "typed", "sentence"),
    [
        ("new", _NEW_ASKED[0], "a\0b\n", "a password cannot hold a NUL character: type another one"),
        ("new", _NEW_ASKED[0], "\udcff\n", "the terminal sent no UTF-8 text: check its character encoding"),
        (
            "restore",
            _WORDS_ASKED[0],
            "\udcff\n",
            "the terminal sent no UTF-8 text: check its character encoding",
        ),
    ],
    ids=["NUL", "password", "words"],
)
def test_typing_what_is_no_text(
    tmp_path: Path, tree: Callable[[], Tree], command: str, question: str, typed: str, sentence: str
) -> None:
    before = tree()
    done = terminal(command, "--data-dir", tmp_path / "a", answers=((question, typed),))
    assert done.code == Exit.USAGE
    assert done.screen.endswith(f"dna-dht: {sentence}\n")
    assert "Traceback" not in done.screen
    assert tree() == before
