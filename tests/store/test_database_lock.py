import os
import subprocess
import sys
from pathlib import Path

import pytest

from dna_dht.errors import StorageError
from dna_dht.store.database_lock import DatabaseLock

HOLDER = """
import sys
from pathlib import Path
from dna_dht.store.database_lock import DatabaseLock
lock = DatabaseLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_database_and_gets_it_when_that_is_killed(
    tmp_path: Path,
) -> None:
    database = tmp_path / "values.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"

        with pytest.raises(StorageError, match=rf"another process \(pid {holder.pid}\) uses the database"):
            DatabaseLock(database)

        holder.kill()

    lock = DatabaseLock(database)
    assert (tmp_path / "values.db.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_one_process_cannot_take_it_twice_but_again_after_release(tmp_path: Path) -> None:
    first = DatabaseLock(tmp_path / "values.db")
    with pytest.raises(StorageError, match=f"pid {os.getpid()}"):
        DatabaseLock(tmp_path / "values.db")
    assert not first.released

    first.release()
    first.release()

    assert first.released
    DatabaseLock(tmp_path / "values.db").release()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match=r"cannot write in the directory .*choose another data directory"):
        DatabaseLock(tmp_path / "file" / "values.db")


def test_a_symbolic_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"letters")
    (tmp_path / "values.db.lock").symlink_to("precious")

    with pytest.raises(StorageError, match=r"values\.db\.lock is a symbolic link: remove it"):
        DatabaseLock(tmp_path / "values.db")

    assert (tmp_path / "precious").read_bytes() == b"letters"
