"""Files that are either old or new, never half, and never readable by others. Source: reliability, T20.

Writing: a temporary file beside the target, created exclusively with mode 0600 whatever the umask says,
filled, synced, renamed over the target, and the directory synced. A process killed at any step leaves
the old file or the new one, and at most a ``.new`` file, which the next write replaces. Processes that may
write the same files take turns (:func:`directory_held`).
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dna_dht.errors import ConfigError, StorageError

_PRIVATE = 0o600
_OTHERS = 0o077  # every permission of group and others


def write_private(path: Path, data: bytes) -> None:
    """Replace *path* by *data*, atomically and durably, mode 0600; StorageError if that fails."""
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        try:
            os.fchmod(descriptor, _PRIVATE)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # half a file would only fill a full disk
            temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def read_file(path: Path, limit: int) -> bytes | None:
    """The first *limit* bytes of a regular file; None if it does not exist.

    Raises StorageError if it exists and cannot be read.
    """
    return _read(path, limit, secret=False, fix_permissions=False)


def read_secret(path: Path, limit: int, *, fix_permissions: bool = False) -> bytes | None:
    """As :func:`read_file`, for a secret: refuses a file that group or others may access.

    With *fix_permissions* the mode is set to 0600 instead. Raises ConfigError for such a file.
    """
    return _read(path, limit, secret=True, fix_permissions=fix_permissions)


def read_whole(path: Path, limit: int) -> bytes | None:
    """All of a regular file of at most *limit* bytes; None if it does not exist.

    Raises StorageError if it exists and is larger, a symbolic link or no file at all, or cannot be read.
    """
    if path.is_symlink():  # replacing it would leave the old content where it points to
        raise StorageError(f"{path} is a symbolic link: put the file itself in its place")
    content = read_file(path, limit + 1)
    if content is not None and len(content) > limit:
        raise StorageError(f"{path} is larger than {limit:,} bytes: it is not what belongs there")
    return content


def is_exposed(path: Path) -> bool:
    """Whether group or others have any permission on the file or directory *path*; no if there is none.

    A symbolic link has no permissions of its own.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def make_private(path: Path) -> None:
    """Take all permissions on *path* from group and others; StorageError if that fails."""
    try:
        path.chmod(path.lstat().st_mode & 0o700)
    except OSError as error:
        raise StorageError(f"cannot make {path} private: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Delete the file *path*, durably, if there is one; StorageError if that fails."""
    try:
        path.unlink()
        sync_directory(path.parent)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror or error}") from error


def move_directory(path: Path, target: Path) -> None:
    """Rename the directory *path* to *target* beside it, missing or empty so far; at once and durably.

    StorageError if that fails.
    """
    try:
        path.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise StorageError(f"cannot create {target}: {error.strerror or error}") from error


def set_aside(path: Path, now: int) -> Path:
    """Rename a damaged file to ``<name>.bad-<now>`` (Unix seconds), or a free name near; the new path."""
    target, attempt = path.with_name(f"{path.name}.bad-{now}"), 0
    while target.exists():
        attempt += 1
        target = path.with_name(f"{path.name}.bad-{now}.{attempt}")
    try:
        path.rename(target)
    except OSError as error:
        raise StorageError(f"cannot move {path} aside: {error.strerror or error}") from error
    return target


def make_private_directory(path: Path) -> None:
    """Create *path* and its parents, mode 0700, if missing; StorageError if that fails."""
    try:
        for each in (*reversed(path.parents), path):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create the directory {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def directory_held(path: Path) -> Iterator[None]:
    """Others that ask for the directory *path* wait meanwhile, in this process or another.

    Without effect if there is no such directory, or on a file system that has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # whoever goes on to use it says why
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def sync_directory(path: Path) -> None:
    """Make renames and new files in the directory *path* survive a loss of power; OSError if that fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, limit: int, *, secret: bool, fix_permissions: bool) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block us
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise StorageError(f"cannot read {path}: it is not a file")
        if secret and mode & _OTHERS:
            if not fix_permissions:
                raise ConfigError(
                    f"{path} holds a secret key and other users may access it: run 'chmod 600 {path}'"
                )
            os.fchmod(descriptor, _PRIVATE)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        os.close(descriptor)
