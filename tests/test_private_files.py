import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dna_dht import private_files
from dna_dht.errors import ConfigError, StorageError
from dna_dht.private_files import (
    directory_held,
    exists,
    is_exposed,
    make_new_directory,
    make_private,
    make_private_directory,
    move_directory,
    read_file,
    read_secret,
    read_whole,
    remove,
    set_aside,
    write_new,
    write_private,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_written_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "key"

    write_private(path, b"first")
    write_private(path, b"second")

    assert path.read_bytes() == b"second"
    assert mode_of(path) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_the_rest_of_a_killed_write_is_replaced_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "key", tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "key.new").symlink_to(victim)

    write_private(path, b"secret")

    assert path.read_bytes() == b"secret"
    assert victim.read_bytes() == b"precious"


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["key"]  # nothing left that fills the disk


def test_writing_where_no_directory_is_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*key: No such file"):
        write_private(tmp_path / "missing" / "key", b"")


def test_reading_stops_at_the_limit_and_tells_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_file(path, 10) is None
    path.write_bytes(b"0123456789")

    assert read_file(path, 4) == b"0123"
    assert read_file(path, 100) == b"0123456789"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_secret_others_may_access_is_refused_or_repaired(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(mode)

    assert read_file(path, 10) == b"secret"
    with pytest.raises(ConfigError, match=r"other users may access it: run 'chmod 600"):
        read_secret(path, 10)
    assert mode_of(path) == mode
    assert read_secret(path, 10, fix_permissions=True) == b"secret"
    assert mode_of(path) == 0o600
    assert read_secret(path, 10) == b"secret"


def test_a_directory_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(StorageError, match="not a file"):
            read_secret(path, 10, fix_permissions=True)


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="Not a directory"):
        read_file(tmp_path / "file" / "key", 10)


def test_damaged_files_are_kept_under_free_names(tmp_path: Path) -> None:
    path = tmp_path / "key"
    names = []
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        names.append(set_aside(path, 1_769_126_400).name)

    assert names == ["key.bad-1769126400", "key.bad-1769126400.1", "key.bad-1769126400.2"]
    assert [(tmp_path / name).read_bytes() for name in names] == [b"one", b"two", b"three"]
    with pytest.raises(StorageError, match="cannot move"):
        set_aside(path, 0)


def test_new_directories_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_directory(tmp_path / "data" / "node")
        make_private_directory(tmp_path / "data" / "node")
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "data" / "node") == mode_of(tmp_path / "data") == 0o700
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot create the directory"):
        make_private_directory(tmp_path / "file" / "data")


def test_reading_the_whole_refuses_what_is_larger_or_a_link(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_whole(path, 10) is None
    path.write_bytes(b"0123456789")

    assert read_whole(path, 10) == b"0123456789"
    with pytest.raises(StorageError, match=r"file is larger than 9 bytes"):
        read_whole(path, 9)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "broken").symlink_to("nowhere")
    for link in ("link", "broken"):
        with pytest.raises(
            StorageError, match=rf"{link} is a symbolic link: put the file itself in its place"
        ):
            read_whole(tmp_path / link, 10)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o601, 0o777])
def test_permissions_of_others_are_told_and_taken(tmp_path: Path, mode: int) -> None:
    file, directory = tmp_path / "file", tmp_path / "directory"
    file.touch()
    directory.mkdir()
    for path in (file, directory):
        path.chmod(mode)
        assert is_exposed(path)
        make_private(path)
        assert not is_exposed(path)
        assert mode_of(path) == mode & 0o700
    assert not is_exposed(tmp_path / "missing") and not is_exposed(file / "below")
    with pytest.raises(StorageError, match=r"cannot make .*missing private: No such file"):
        make_private(tmp_path / "missing")


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()

    remove(tmp_path / "file")
    remove(tmp_path / "file")

    assert os.listdir(tmp_path) == ["directory"]
    with pytest.raises(StorageError, match=r"cannot remove .*directory: "):
        remove(tmp_path / "directory")


def test_a_directory_is_moved_where_none_or_an_empty_one_is(tmp_path: Path) -> None:
    for number, target in enumerate(("one", "two", "two")):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / f"file{number}").touch()
        if number == 1:
            (tmp_path / "two").mkdir()
        if number < 2:
            move_directory(tmp_path / "new", tmp_path / target)
            assert os.listdir(tmp_path / target) == [f"file{number}"]

    with pytest.raises(StorageError, match=r"cannot create .*two: Directory not empty"):
        move_directory(tmp_path / "new", tmp_path / "two")
    assert os.listdir(tmp_path / "two") == ["file1"]


def test_what_a_link_points_to_is_examined_and_never_changed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"secret")
    target.chmod(0o644)
    link.symlink_to(target)

    assert is_exposed(link)
    for change in (make_private, lambda path: read_secret(path, 10, fix_permissions=True)):
        with pytest.raises(StorageError, match=r"link is a symbolic link: put the file itself in its place"):
            change(link)
    assert mode_of(target) == 0o644
    target.chmod(0o600)
    assert not is_exposed(link)
    assert read_secret(link, 10, fix_permissions=True) == b"secret"


def test_a_link_to_nothing_is_not_taken_for_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")

    assert exists(tmp_path / "link") and not is_exposed(tmp_path / "link")
    with pytest.raises(StorageError, match=r"cannot read .*link: No such file"):
        read_secret(tmp_path / "link", 10)


def test_what_belongs_to_another_user_is_exposed_and_cannot_be_made_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    owner = file.stat().st_uid
    assert not is_exposed(file)
    found = os.stat_result((0o100600, 1, 1, 1, 4711, 4711, 0, 0, 0, 0))

    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert is_exposed(file) == (owner != 0)  # root can read it anyway
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    monkeypatch.setattr(Path, "stat", lambda path, **options: found)
    monkeypatch.setattr(os, "fstat", lambda descriptor: found)
    assert is_exposed(file)
    with pytest.raises(StorageError, match=r"belongs to another user \(uid 4711\): copy it"):
        make_private(file)


USES: list[Callable[[Path], object]] = [
    exists,
    lambda path: write_private(path, b""),
    lambda path: read_file(path, 10),
    lambda path: read_secret(path, 10, fix_permissions=True),
    lambda path: read_whole(path, 10),
    is_exposed,
    make_private,
    remove,
    lambda path: move_directory(path, path),
    lambda path: set_aside(path, 0),
    make_private_directory,
    make_new_directory,
]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300], ids=["nul", "surrogate", "long"])
@pytest.mark.parametrize("use", USES)
def test_a_path_that_can_be_none_is_a_sentence(
    tmp_path: Path, use: Callable[[Path], object], name: str
) -> None:
    with pytest.raises(StorageError, match=r"cannot .*: (File name too long|no file can have that name)$"):
        use(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_looked_at_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exists(tmp_path) and not exists(tmp_path / "missing")

    def refuse(path: Path, **options: bool) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "lstat", refuse)
    for look in (exists, is_exposed, make_private_directory):
        with pytest.raises(StorageError, match="Permission denied"):
            look(tmp_path)


@pytest.mark.parametrize("links", [True, False])
def test_moving_aside_never_overwrites_what_appears_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def without_links(path: Path, target: Path, **options: bool) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", without_links)
    path, taken = tmp_path / "key", tmp_path / "key.bad-7"
    path.write_bytes(b"damaged")
    taken.symlink_to("nowhere")

    assert set_aside(path, 7).name == "key.bad-7.1"

    assert taken.is_symlink() and not path.exists()
    assert (tmp_path / "key.bad-7.1").read_bytes() == b"damaged"
    assert (tmp_path / "key.bad-7.1").stat().st_nlink == 1
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys.bad-7").mkdir()
    assert set_aside(tmp_path / "keys", 7).name == "keys.bad-7.1"


def test_each_new_directory_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(private_files, "sync_directory", synced.append)

    make_private_directory(tmp_path / "a" / "b")
    make_private_directory(tmp_path / "a" / "b")

    assert synced == [tmp_path, tmp_path / "a"]


def test_a_new_directory_is_private_and_never_one_that_is_there(tmp_path: Path) -> None:
    make_new_directory(tmp_path / "new")
    (tmp_path / "link").symlink_to(tmp_path / "new")

    assert mode_of(tmp_path / "new") == 0o700
    for name in ("new", "link"):
        with pytest.raises(StorageError, match=r"cannot create the directory .*: File exists"):
            make_new_directory(tmp_path / name)


def test_who_holds_a_directory_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_files, "_PATIENCE", 0.02)
    with (
        directory_held(tmp_path),
        pytest.raises(StorageError, match=r"another process has held .* for 0 s"),
        directory_held(tmp_path),
    ):
        pytest.fail("two hold it")
    with directory_held(tmp_path):
        pass
    with directory_held(tmp_path / "missing"), directory_held(tmp_path / "a\0b"):
        pass


def test_a_forked_child_neither_gives_a_directory_back_nor_keeps_it(tmp_path: Path) -> None:
    def is_free() -> bool:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    ended, end = os.pipe()
    with contextlib.ExitStack() as parent:
        held = contextlib.ExitStack()
        held.enter_context(directory_held(tmp_path))
        if (leaver := os.fork()) == 0:
            held.close()
            os._exit(0)
        os.waitpid(leaver, 0)
        assert not is_free()
        if (keeper := os.fork()) == 0:  # with a copy of the descriptor
            os.close(end)
            os.read(ended, 1)
            os._exit(0)
        parent.callback(os.waitpid, keeper, 0)
        parent.callback(os.close, end)
        held.close()
        assert is_free()
    os.close(ended)


def test_a_new_file_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "new"

    write_new(path, b"content")

    assert path.read_bytes() == b"content" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(StorageError, match=r"cannot write .*new: File exists"):
        write_new(path, b"other")
    assert path.read_bytes() == b"content"
