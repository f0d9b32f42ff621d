"""One process per data directory: a lock on ``identity.lock``. Source: spec 03, section 12.

It is a ``flock``, as the reference takes it, so each excludes the other. The file is empty and stays:
deleting it would let two processes hold locks on two files of the same name. The kernel releases the lock
when its holder ends, however it ends. Who holds it is told by ``/proc``. Not for network file systems.
"""

import contextlib
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
        self.directory = directory
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            IdentityLockedError: it is taken, by another process or in this one, also by this object; ``pid``
                says by which.
            StorageError: the directory is missing or cannot be written, or its file system has no locks.
        """
        path = self.directory / FILE_NAME
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            if not _taken(descriptor, fcntl.LOCK_EX, path):
                self._descriptor, descriptor = descriptor, -1
                return
            pid = _holder(descriptor)
            raise IdentityLockedError(
                f"another process ({'unknown pid' if pid is None else f'pid {pid}'}) uses the identity in"
                f" {self.directory}: stop it or choose another data directory",
                pid=pid,
            )
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # a child forked meanwhile shares the lock: end it for both
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    @staticmethod
    def status(directory: Path) -> LockStatus:
        """Whether someone holds the lock of *directory* now. Creates nothing and leaves no lock.

        Raises StorageError if the lock file is there and cannot be opened.
        """
        path = directory / FILE_NAME
        try:
            descriptor = _open(path, os.O_RDONLY)
        except FileNotFoundError:
            return LockStatus(False, None)
        try:
            # shared, so that two probes at once do not take each other for the holder
            if not _taken(descriptor, fcntl.LOCK_SH, path):
                return LockStatus(False, None)
            return LockStatus(True, _holder(descriptor))
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open(path: Path, flags: int) -> int:
    """A descriptor of the lock file; FileNotFoundError only if it need not be created."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise StorageError(f"there is no directory {path.parent}: create it or choose another") from None
        raise
    except OSError as error:
        if path.is_symlink():
            raise StorageError(f"{path} is a symbolic link: remove it") from error
        raise StorageError(
            f"cannot open {path}: {error.strerror or error};"
            " make the data directory writable or choose another"
        ) from error
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
    """The process that holds a lock on the file of *descriptor*."""
    found = os.fstat(descriptor)
    return _listed(found) or _having_open(found, descriptor)


def _listed(file: os.stat_result) -> int | None:
    """From the lines of ``/proc/locks``: ``1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF``."""
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text().splitlines():
            match line.split():
                case [_, "FLOCK", _, "WRITE", pid, where, *_] if where == place and int(pid) > 0:
                    return int(pid)
    return None


def _having_open(file: os.stat_result, ours: int) -> int | None:
    """Some file systems list other device numbers there: the one process that has the file open."""
    own = f"/proc/{os.getpid()}/fd/{ours}"
    for entry in _descriptors():
        with contextlib.suppress(OSError):  # ended meanwhile, or closed
            if entry != own and os.path.samestat(os.stat(entry), file):
                return int(entry.split("/")[2])
    return None


def _descriptors() -> Iterator[str]:
    for process in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError):  # a process of another user, or ended
            for number in os.listdir(f"/proc/{process}/fd"):
                yield f"/proc/{process}/fd/{number}"
