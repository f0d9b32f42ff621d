import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dna_dht.errors import IdentityLockedError, StorageError
from dna_dht.keystore import identity_lock
from dna_dht.keystore.identity_lock import IdentityLock, LockStatus

REFERENCE = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
"""
PROBE = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(9)
"""
FREE = LockStatus(False, None)


@contextmanager
def reference(directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A second process that holds the lock the way the reference does."""
    command = [sys.executable, "-c", REFERENCE, directory / "identity.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
            yield holder
        finally:
            holder.kill()


def test_a_running_reference_excludes_us_until_it_is_killed(tmp_path: Path) -> None:
    lock = IdentityLock(tmp_path)
    with reference(tmp_path) as holder:
        assert IdentityLock.status(tmp_path) == LockStatus(True, holder.pid)
        with pytest.raises(
            IdentityLockedError, match=rf"another process \(pid {holder.pid}\) uses"
        ) as caught:
            lock.acquire()
        assert caught.value.pid == holder.pid
        assert not lock.held

    with lock:
        assert lock.held


def test_we_exclude_a_reference(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROBE, tmp_path / "identity.lock"]
    with IdentityLock(tmp_path):
        assert subprocess.run(command, check=False, timeout=60).returncode == 9
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_the_lock_vanishes_with_its_holder_and_a_program_it_started_does_not_keep_it(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys
from pathlib import Path
from dna_dht.keystore.identity_lock import IdentityLock
lock = IdentityLock(Path(sys.argv[1]))
lock.acquire()
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert IdentityLock.status(tmp_path) == LockStatus(True, holder.pid)
            holder.kill()
            holder.wait()
            os.kill(child, 0)  # it still runs
            assert IdentityLock.status(tmp_path) == FREE
            with IdentityLock(tmp_path):
                pass
        finally:
            os.kill(child, 9)


def test_the_file_is_private_empty_and_stays(tmp_path: Path) -> None:
    with IdentityLock(tmp_path) as lock:
        assert lock.held
        assert (tmp_path / "identity.lock").read_bytes() == b""

    assert [path.name for path in tmp_path.iterdir()] == ["identity.lock"]
    assert stat.S_IMODE((tmp_path / "identity.lock").stat().st_mode) == 0o600
    assert (tmp_path / "identity.lock").read_bytes() == b""


def test_two_locks_of_one_process_conflict(tmp_path: Path) -> None:
    first, second = IdentityLock(tmp_path), IdentityLock(tmp_path)
    first.acquire()

    for lock in (second, first):
        with pytest.raises(IdentityLockedError) as caught:
            lock.acquire()
        assert caught.value.pid == os.getpid()
    assert first.held and not second.held

    second.release()
    assert IdentityLock.status(tmp_path) == LockStatus(True, os.getpid())
    first.release()
    first.release()
    with second:
        assert second.held


def test_status_leaves_nothing_behind(tmp_path: Path) -> None:
    assert IdentityLock.status(tmp_path / "missing") == FREE
    assert IdentityLock.status(tmp_path) == FREE
    assert list(tmp_path.iterdir()) == []

    IdentityLock(tmp_path).release()  # never acquired
    with IdentityLock(tmp_path):
        pass
    assert IdentityLock.status(tmp_path) == IdentityLock.status(tmp_path) == FREE
    with IdentityLock(tmp_path):
        pass


def test_two_probes_do_not_take_each_other_for_the_holder(tmp_path: Path) -> None:
    (tmp_path / "identity.lock").touch()
    descriptor = os.open(tmp_path / "identity.lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    assert IdentityLock.status(tmp_path) == FREE

    os.close(descriptor)


def test_a_probe_does_not_make_us_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "identity.lock").touch()
    descriptor = os.open(tmp_path / "identity.lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    monkeypatch.setattr(identity_lock.time, "sleep", lambda seconds: fcntl.flock(descriptor, fcntl.LOCK_UN))

    with IdentityLock(tmp_path) as lock:
        assert lock.held

    os.close(descriptor)


def read_listings(monkeypatch: pytest.MonkeyPatch, locks: str, descriptors: str | None = None) -> None:
    """Make ``/proc/locks`` say *locks*, and each descriptor *descriptors*, if given."""
    read_text = Path.read_text

    def read(path: Path) -> str:
        if path == Path("/proc/locks"):
            return locks
        return read_text(path) if descriptors is None else descriptors

    monkeypatch.setattr(Path, "read_text", read)


@pytest.mark.parametrize("alive", [True, False])
def test_the_holder_is_read_from_the_list_of_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    pid = os.getppid() if alive else ended.pid
    with IdentityLock(tmp_path):
        found = (tmp_path / "identity.lock").stat()
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        read_listings(
            monkeypatch,
            f"1: POSIX  ADVISORY  WRITE 11 {place} 0 EOF\n"
            f"2: FLOCK  ADVISORY  WRITE 12 {place}1 0 EOF\n"
            f"3: FLOCK  ADVISORY  READ 13 {place} 0 EOF\n"
            f"3: -> FLOCK  ADVISORY  WRITE 14 {place} 0 EOF\n"
            f"4: FLOCK  ADVISORY  WRITE {pid} {place} 0 EOF\n",
        )

        assert IdentityLock.status(tmp_path) == LockStatus(True, pid if alive else None)


@pytest.mark.parametrize("listing", ["", "1: FLOCK  ADVISORY  WRITE x y\nnonsense\n"])
def test_without_a_list_the_holder_is_who_has_the_file_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    read_listings(monkeypatch, listing)
    with reference(tmp_path) as holder, (tmp_path / "identity.lock").open():  # we have it open too
        assert IdentityLock.status(tmp_path) == LockStatus(True, holder.pid)


@pytest.mark.parametrize("descriptors", ["pos: 0\n", "lock: 1: FLOCK  ADVISORY  READ 1 fe:00:1 0 EOF\n"])
def test_who_only_has_the_file_open_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, descriptors: str
) -> None:
    read_listings(monkeypatch, "", descriptors)
    with IdentityLock(tmp_path):
        assert IdentityLock.status(tmp_path) == LockStatus(True, None)


def test_of_two_processes_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "lock: 1: FLOCK  ADVISORY  WRITE {} fe:00:1 0 EOF\n"
    read_listings(monkeypatch, "", line.format(os.getpid()) + line.format(os.getppid()))
    with IdentityLock(tmp_path):
        assert IdentityLock.status(tmp_path) == LockStatus(True, None)


def test_a_holder_that_cannot_be_told_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_lock, "_holder", lambda descriptor: None)
    with IdentityLock(tmp_path), pytest.raises(IdentityLockedError, match=r"\(unknown pid\)") as caught:
        IdentityLock(tmp_path).acquire()
    assert caught.value.pid is None


def test_a_directory_that_is_missing_or_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no directory .*missing: create it"):
        IdentityLock(tmp_path / "missing").acquire()
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "file").touch()
    for use in (IdentityLock(tmp_path / "file").acquire, lambda: IdentityLock.status(tmp_path / "file")):
        with pytest.raises(StorageError, match=r"cannot open .*Not a directory"):
            use()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300], ids=["nul", "long"])
def test_a_directory_with_no_possible_name_is_a_sentence(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    for use in (IdentityLock(directory).acquire, lambda: IdentityLock.status(directory)):
        with pytest.raises(
            StorageError, match=r"cannot open .*: (File name too long|no file can have that name)"
        ):
            use()


def test_something_else_in_place_of_the_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "identity.lock"
    path.symlink_to("elsewhere")
    for use in (IdentityLock(tmp_path).acquire, lambda: IdentityLock.status(tmp_path)):
        with pytest.raises(StorageError, match=r"identity\.lock is a symbolic link: remove it"):
            use()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match=r"identity\.lock is not a file: remove it"):
        IdentityLock(tmp_path).acquire()
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=r"cannot open .*identity\.lock: Is a directory"):
        IdentityLock(tmp_path).acquire()


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, kind: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StorageError, match="No locks available; choose a data directory on a local disk"):
        IdentityLock(tmp_path).acquire()


def test_a_forked_child_neither_has_nor_gives_away_the_lock(tmp_path: Path) -> None:
    lock = IdentityLock(tmp_path)
    lock.acquire()
    if (child := os.fork()) == 0:
        wrong = lock.held
        try:
            lock.acquire()
            wrong = True
        except IdentityLockedError as error:
            wrong = wrong or error.pid != os.getppid()
        lock.release()
        os._exit(wrong)

    assert os.waitpid(child, 0)[1] == 0
    assert lock.held
    assert IdentityLock.status(tmp_path) == LockStatus(True, os.getpid())
    lock.release()
    assert IdentityLock.status(tmp_path) == FREE


def test_a_forked_child_takes_the_lock_once_it_is_free(tmp_path: Path) -> None:
    lock, ready = IdentityLock(tmp_path), os.pipe()
    lock.acquire()
    if (child := os.fork()) == 0:
        os.read(ready[0], 1)
        lock.acquire()
        held = lock.held
        lock.release()
        os._exit(not held)

    lock.release()
    os.write(ready[1], b"!")
    assert os.waitpid(child, 0)[1] == 0
    os.close(ready[0])
    os.close(ready[1])


@pytest.mark.parametrize("put_back", [True, False])
def test_a_file_replaced_while_it_is_locked_excludes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put_back: bool
) -> None:
    taken, replaced = identity_lock._taken, False

    def replace_first(descriptor: int, kind: int, path: Path) -> bool:
        nonlocal replaced
        if not replaced:
            replaced = True
            path.unlink()
            if put_back:
                path.touch()
        return taken(descriptor, kind, path)

    monkeypatch.setattr(identity_lock, "_taken", replace_first)
    with IdentityLock(tmp_path), pytest.raises(IdentityLockedError):
        IdentityLock(tmp_path).acquire()
    assert IdentityLock.status(tmp_path) == FREE


def test_a_file_replaced_for_ever_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(descriptor: int, kind: int, path: Path) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(identity_lock, "_taken", replace)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(StorageError, match=r"identity\.lock is being replaced again and again"):
        IdentityLock(tmp_path).acquire()
    assert os.listdir("/proc/self/fd") == before
