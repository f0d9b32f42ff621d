"""Whose key signs: names of identity files, and the default one."""

from pathlib import Path

import pytest

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.signer import base_of, default_base, load_signer, place_of
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.keystore.keystore import Keystore
from dna_dht.keystore.node_identity_files import NodeIdentityFiles

ALICE, BOB = NodeIdentity.from_seed(bytes(32)), NodeIdentity.from_seed(bytes([1]) * 32)
NOW = 1_700_000_000  # Unix seconds


@pytest.mark.parametrize("suffix", ["", ".seed", ".pub", ".cert", ".dsa"])
def test_any_file_of_an_identity_names_it(tmp_path: Path, suffix: str) -> None:
    NodeIdentityFiles(tmp_path / "state.identity").save(ALICE, NOW)
    assert base_of(tmp_path / f"state.identity{suffix}") == tmp_path / "state.identity"
    assert load_signer(tmp_path / f"state.identity{suffix}", create=False) == ALICE


@pytest.mark.parametrize("path", [".", "/", ".."])
def test_a_directory_names_no_identity(path: str) -> None:
    with pytest.raises(Failure, match="name the identity in it") as caught:
        base_of(Path(path))
    assert caught.value.exit_code == Exit.USAGE


def test_a_directory_that_exists_names_no_identity(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f"like {tmp_path}/identity"):
        base_of(tmp_path)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_base() == tmp_path / ".config" / "dna-dht" / "identity"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert default_base() == tmp_path / ".config" / "dna-dht" / "identity"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert default_base() == Path("/elsewhere/dna-dht/identity")


def test_the_default_identity_is_made_once(home: Path) -> None:
    made = load_signer(None, create=True)
    assert load_signer(None, create=True) == made
    assert load_signer(None, create=False) == made


def test_the_default_identity_is_not_made_for_readers(home: Path) -> None:
    with pytest.raises(Failure) as caught:
        load_signer(None, create=False)
    assert caught.value.exit_code == Exit.STORAGE
    assert not home.exists()


def test_two_commands_at_once_make_one_identity(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> NodeIdentity:
        NodeIdentityFiles(default_base()).save(BOB, NOW)  # the other command is faster
        return ALICE

    monkeypatch.setattr(NodeIdentity, "generate", slow)
    assert load_signer(None, create=True) == BOB


def test_where_no_identity_can_be_made(home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(Failure) as caught:
        load_signer(None, create=True)
    assert caught.value.exit_code == Exit.STORAGE


@pytest.mark.parametrize("name", [".", "dht_identity", "dht_identity.seed", "dht_identity.bin"])
def test_a_data_directory_signs_with_the_key_of_its_user(tmp_path: Path, name: str) -> None:
    user = Keystore(tmp_path).create(Mnemonic.generate(), now=NOW)
    NodeIdentityFiles(tmp_path / "bot").save(BOB, NOW)
    before = {path.name for path in tmp_path.iterdir()}

    assert load_signer(tmp_path / name, create=False) == user.node
    assert place_of(tmp_path / name) == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == before
    assert load_signer(tmp_path / "bot", create=False) == BOB


def test_a_protected_data_directory_asks_and_without_terminal_refuses(tmp_path: Path) -> None:
    Keystore(tmp_path).create(Mnemonic.generate(), password="secret", now=NOW)

    with pytest.raises(Failure, match="protected by a password") as caught:
        load_signer(tmp_path, create=False)
    assert caught.value.exit_code == Exit.STORAGE
