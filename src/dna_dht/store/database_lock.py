"""One process per database: an advisory lock on ``<database>.lock``, which holds the pid of the holder.

The kernel releases the lock when its holder ends, however it ends. The file itself stays: deleting it
would let two processes hold locks on two files of the same name.
"""

import fcntl
import os
from pathlib import Path

from dna_dht.errors import StorageError


class DatabaseLock:
    """Held from construction until :meth:`release`."""

    def __init__(self, database: Path) -> None:
        """Take the lock of *database*; StorageError if it is taken (names the holder) or impossible."""
        path = database.with_name(database.name + ".lock")
        try:
            # no symbolic link: its target would be overwritten with our pid
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if path.is_symlink():
                raise StorageError(f"{path} is a symbolic link: remove it") from error
            raise StorageError(
                f"cannot write in the directory {database.parent}: {error.strerror or error};"
                " make it writable or choose another data directory"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise StorageError(
                f"another process (pid {holder}) uses the database {database}:"
                " stop it or choose another data directory"
            ) from None
        except OSError as error:
            self.release()
            raise StorageError(f"cannot lock {path}: {error.strerror or error}") from error

    @property
    def released(self) -> bool:
        """Whether :meth:`release` was called."""
        return self._descriptor < 0

    def release(self) -> None:
        """Give the lock back. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
