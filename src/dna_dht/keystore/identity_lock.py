"""One process per data directory: a lock on ``identity.lock``. Source: spec 03, section 12.

It is a ``flock``, as the reference takes it, so each excludes the other. The file is empty and stays:
deleting it would let two processes hold locks on two files of the same name. The kernel releases the lock
when its holder ends, however it ends; but a forked child that outlives it keeps the lock until it ends too.
Who holds it is told by ``/proc``. Not for network file systems.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dna_dht.errors import IdentityLockedError, StorageError

FILE_NAME = "identity.lock"
_ATTEMPTS = 3  # a status probe holds the lock for an instant, which must not look like another user
_PAUSE = 0.01  # seconds between attempts


@dataclass(frozen=True, slots=True)
class LockStatus:
    """Whether a data directory is in use; *pid* is the process, None if free or it cannot be told."""

    locked: bool
    pid: int | None


class IdentityLock:
    """The right to use the identity in one data directory; also a context manager, which acquires it."""

    def __init__(self, directory: Path) -> None:
        """The lock of *directory*; not acquired yet."""
        self.directory = Path(directory)
        self._descriptor: int | None = None
        self._process = 0  # that acquired it

    @property
    def held(self) -> bool:
        """Whether this object holds the lock; in a child forked meanwhile it does not."""
        return self._descriptor is not None and self._process == os.getpid()

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            IdentityLockedError: it is taken, by another process or in this one, also by this object; ``pid``
                says by which.
            StorageError: the directory is missing or cannot be written, or its file system has no locks.
        """
        if not self.held:
            self.release()  # what was inherited
        descriptor, taken = _try(self.directory / FILE_NAME, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        if not taken:
            self._descriptor, self._process = descriptor, os.getpid()
            return
        pid = _holder(descriptor)
        os.close(descriptor)
        raise IdentityLockedError(
            f"another process ({'unknown pid' if pid is None else f'pid {pid}'}) uses the identity in"
            f" {self.directory}: stop it or choose another data directory",
            pid=pid,
        )

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held. A forked child cannot give it back."""
        held, descriptor, self._descriptor = self.held, self._descriptor, None
        if descriptor is not None:
            if held:
                with contextlib.suppress(
                    OSError
                ):  # a child forked meanwhile shares the lock: end it for both
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    @staticmethod
    def status(directory: Path) -> LockStatus:
        """Whether someone holds the lock of *directory* now. Creates nothing and leaves no lock.

        Raises StorageError if the lock file is there and cannot be opened.
        """
        try:
            # shared, so that two probes at once do not take each other for the holder
            descriptor, taken = _try(directory / FILE_NAME, os.O_RDONLY, fcntl.LOCK_SH)
        except FileNotFoundError:
            return LockStatus(False, None)
        pid = _holder(descriptor) if taken else None
        os.close(descriptor)
        return LockStatus(taken, pid)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _try(path: Path, flags: int, kind: int) -> tuple[int, bool]:
    """A descriptor of the lock file, and whether another holds the lock; if not, it is ours now.

    FileNotFoundError only if the file need not be created.
    """
    for _ in range(_ATTEMPTS):
        descriptor = _open(path, flags)
        try:
            taken = _taken(descriptor, kind, path)
            if _is_at(path, descriptor):
                kept, descriptor = descriptor, -1
                return kept, taken
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    raise StorageError(f"{path} is being replaced again and again: stop what does that")


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file is still the one that others will open: a lock on a deleted one excludes nobody."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _open(path: Path, flags: int) -> int:
    """A descriptor of the lock file; FileNotFoundError only if it need not be created."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise StorageError(f"there is no directory {path.parent}: create it or choose another") from None
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:  # of O_NOFOLLOW
            raise StorageError(f"{path} is a symbolic link: remove it") from error
        raise StorageError(
            f"cannot open {path}: {error.strerror or error};"
            " make the data directory writable or choose another"
        ) from error
    except ValueError as error:
        raise StorageError(f"cannot open {path}: no file can have that name") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a file: remove it")
    return descriptor


def _taken(descriptor: int, kind: int, path: Path) -> bool:
    """Whether another holds the lock; if not, it is ours now."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            raise StorageError(
                f"cannot lock {path}: {error.strerror or error}; choose a data directory on a local disk"
            ) from error
        return False
    return True


def _holder(descriptor: int) -> int | None:
    """The living process that took a lock on the file of *descriptor*; None if it cannot be told."""
    found = os.fstat(descriptor)
    pid = _listed(found) or _having_it_locked(found)
    return pid if pid is not None and os.path.exists(f"/proc/{pid}") else None


def _listed(file: os.stat_result) -> int | None:
    """From the lines of ``/proc/locks``: ``1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF``."""
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for pid, where in _write_locks(Path("/proc/locks")):
        if where == place:
            return pid
    return None


def _having_it_locked(file: os.stat_result) -> int | None:
    """Some file systems list other device numbers there: by the descriptors of *file* that have a lock.

    None if that leaves several processes.
    """
    found: set[int] = set()
    for process, number in _descriptors():
        with contextlib.suppress(OSError):  # ended meanwhile, or closed
            if os.path.samestat(os.stat(f"/proc/{process}/fd/{number}"), file):
                found.update(pid for pid, _ in _write_locks(Path(f"/proc/{process}/fdinfo/{number}")))
    return found.pop() if len(found) == 1 else None


def _write_locks(listing: Path) -> Iterator[tuple[int, str]]:
    """Process and file of each exclusive ``flock`` in a listing of ``/proc``."""
    with contextlib.suppress(OSError, ValueError):
        for line in listing.read_text().splitlines():
            match line.removeprefix("lock:").split():
                case [_, "FLOCK", _, "WRITE", pid, where, *_] if int(pid) > 0:
                    yield int(pid), where


def _descriptors() -> Iterator[tuple[str, str]]:
    for process in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError):  # a process of another user, or ended
            for number in os.listdir(f"/proc/{process}/fd"):
                yield process, number
