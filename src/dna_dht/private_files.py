"""Files that are either old or new, never half, and never readable by others. Source: reliability, T20.

Writing: a temporary file beside the target, created exclusively with mode 0600 whatever the umask says,
filled, synced, renamed over the target, and the directory synced. A process killed at any step leaves
the old file or the new one, and at most a ``.new`` file, which the next write replaces. Processes that may
write the same files take turns (:func:`directory_held`).

A path that cannot be used at all (too long, a NUL in it, in a directory closed to us) is a StorageError too.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from dna_dht.errors import ConfigError, StorageError

_PRIVATE = 0o600
_OTHERS = 0o077  # every permission of group and others
_PATIENCE = 10.0  # seconds; what ours do while they hold a directory takes less than one
_PAUSE = 0.01  # seconds between two attempts to hold it


def exists(path: Path) -> bool:
    """Whether something has the name *path*, be it a symbolic link to nothing.

    StorageError if that cannot be told.
    """
    try:
        with _failing(f"look for {path}"):
            path.lstat()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return False
        raise
    return True


def write_private(path: Path, data: bytes) -> None:
    """Replace *path* by *data*, atomically and durably, mode 0600; StorageError if that fails."""
    with _failing(f"write {path}"):
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        with _new_file(temporary, data):
            temporary.rename(path)
        sync_directory(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Create *path* with *data*, durably, mode 0600; StorageError if that fails, or if the name is taken."""
    with _failing(f"write {path}"), _new_file(path, data):
        sync_directory(path.parent)


def read_file(path: Path, limit: int) -> bytes | None:
    """The first *limit* bytes of a regular file; None if it does not exist.

    Raises StorageError if it exists and cannot be read, or is a symbolic link to nothing.
    """
    return _read(path, limit)


def read_secret(path: Path, limit: int, *, fix_permissions: bool = False) -> bytes | None:
    """As :func:`read_file`, for a secret: refuses a file that group or others may access.

    With *fix_permissions* the mode is set to 0600 instead, but not through a symbolic link (StorageError).
    Raises ConfigError for such a file.
    """
    return _read(path, limit, secret=True, fix_permissions=fix_permissions)


def read_whole(path: Path, limit: int) -> bytes | None:
    """All of a regular file of at most *limit* bytes; None if it does not exist.

    Raises StorageError if it exists and is larger, a symbolic link or no file at all, or cannot be read.
    """
    content = _read(path, limit + 1, follow=False)  # replacing a link would leave the content it points to
    if content is not None and len(content) > limit:
        raise StorageError(f"{path} is larger than {limit:,} bytes: it is not what belongs there")
    return content


def is_exposed(path: Path) -> bool:
    """Whether others may access the file or directory *path*, or what it points to; no if there is none.

    Others are group, others, and an owner that is neither we nor root, for an owner can change the mode.
    StorageError if it cannot be told.
    """
    try:
        with _failing(f"look at {path}"):
            found = path.stat()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return False
        raise
    return bool(found.st_mode & _OTHERS) or _is_foreign(found)


def make_private(path: Path) -> None:
    """Take all permissions on *path* from group and others; StorageError if that fails.

    It fails too if *path* is a symbolic link, or belongs to another user (who could give them again).
    """
    with _failing(f"make {path} private"):
        descriptor = _open(path, os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            os.fchmod(descriptor, found.st_mode & 0o700)
        finally:
            os.close(descriptor)
    if _is_foreign(found):
        raise StorageError(
            f"cannot make {path} private: it belongs to another user (uid {found.st_uid}): copy it"
        )


def remove(path: Path) -> None:
    """Delete the file *path*, durably, if there is one; StorageError if that fails."""
    with _failing(f"remove {path}"), contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def move_directory(path: Path, target: Path) -> None:
    """Rename the directory *path* to *target* beside it, missing or empty so far; at once and durably.

    StorageError if that fails.
    """
    with _failing(f"create {target}"):
        path.rename(target)
        sync_directory(target.parent)


def set_aside(path: Path, now: int) -> Path:
    """Rename what is damaged to ``<name>.bad-<now>`` (Unix seconds), or a free name near; the new path.

    Never overwrites; durable. StorageError if it fails.
    """
    with _failing(f"move {path} aside"):
        for attempt in itertools.count():
            target = path.with_name(f"{path.name}.bad-{now}" + (f".{attempt}" if attempt else ""))
            with contextlib.suppress(FileExistsError):
                _move(path, target)
                sync_directory(path.parent)
                break
    return target


def make_private_directory(path: Path) -> None:
    """Create *path* and its parents, mode 0700, if missing; durable. StorageError if that fails."""
    with _failing(f"create the directory {path}"):
        for each in (*reversed(path.parents), path):
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)
                sync_directory(each.parent)


def make_new_directory(path: Path) -> None:
    """Create *path*, mode 0700, where nothing is yet; StorageError if that fails."""
    with _failing(f"create the directory {path}"):
        os.mkdir(path, 0o700)


@contextlib.contextmanager
def directory_held(path: Path) -> Iterator[None]:
    """Others that ask for the directory *path* wait meanwhile, in this process or another.

    Not reentrant: who holds it and asks again waits for itself. Without effect if the directory is missing or
    cannot be read (it may still be written), or on a file system that has no locks. A forked child does not
    give it back.

    Raises StorageError if another holds it for 10 s.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):  # whoever goes on to use it says why
        yield
        return
    process = os.getpid()
    try:
        _hold(descriptor, path)
        yield
    finally:
        if os.getpid() == process:  # now, even if a child has a copy of the descriptor
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make renames and new files in the directory *path* survive a loss of power; OSError if that fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _failing(action: str) -> Iterator[None]:
    """Say *action* and why in a StorageError, for an OSError or a path that is none."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {action}: {error.strerror or error}") from error
    except ValueError as error:
        raise StorageError(f"cannot {action}: no file can have that name") from error


@contextlib.contextmanager
def _new_file(path: Path, data: bytes) -> Iterator[None]:
    """Create *path* with *data*, synced; gone again if that or what is done with it fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        try:
            os.fchmod(descriptor, _PRIVATE)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield
    except OSError:
        with contextlib.suppress(OSError):  # half a file would only fill a full disk
            path.unlink(missing_ok=True)
        raise


def _open(path: Path, flags: int = 0) -> int:
    """A descriptor to read from *path*; a pipe does not block us."""
    try:
        return os.open(path, flags | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if flags & os.O_NOFOLLOW and error.errno == errno.ELOOP:
            raise _link(path) from None
        raise


def _link(path: Path) -> StorageError:
    return StorageError(f"{path} is a symbolic link: put the file itself in its place")


def _read(
    path: Path, limit: int, *, secret: bool = False, fix_permissions: bool = False, follow: bool = True
) -> bytes | None:
    with _failing(f"read {path}"):
        try:
            descriptor = _open(path, 0 if follow else os.O_NOFOLLOW)
        except FileNotFoundError:
            if exists(path):
                raise
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StorageError(f"cannot read {path}: it is not a file")
            if secret and found.st_mode & _OTHERS:
                if not fix_permissions:
                    raise ConfigError(
                        f"{path} holds a secret key and other users may access it: run 'chmod 600 {path}'"
                    )
                if not os.path.samestat(found, path.lstat()):
                    raise _link(path)
                os.fchmod(descriptor, _PRIVATE)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(limit)
        finally:
            os.close(descriptor)


def _is_foreign(found: os.stat_result) -> bool:
    return found.st_uid not in (os.geteuid(), 0)


def _move(path: Path, target: Path) -> None:
    """Rename *path* to *target*; FileExistsError if there is something."""
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a directory, or a file system without links
        if exists(target):
            raise FileExistsError(target) from None
        path.rename(target)
    else:
        path.unlink()


def _hold(descriptor: int, path: Path) -> None:
    """Lock the directory of *descriptor*, waiting for others; without effect if it has no locks."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StorageError(
                    f"another process has held {path} for {_PATIENCE:.0f} s: stop it and try again"
                ) from None
        except OSError:
            return None
        time.sleep(_PAUSE)
