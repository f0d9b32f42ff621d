import hashlib
import json
import logging
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import ConfigError, CryptoError, MissingPackageError, StorageError
from dna_dht.keystore import node_identity_files
from dna_dht.keystore.node_identity_files import NodeIdentityFiles
from dna_dht.private_files import write_private

PATH = Path(__file__).parents[1] / "vectors" / "crypto-node-identity.json"
NODES: list[dict[str, Any]] = json.loads(PATH.read_text())["cases"]
NOW = 1_769_126_400
Start = Callable[[NodeIdentityFiles, int], NodeIdentity | None]
ALICE, BOB = NodeIdentity.from_seed(b"\1" * 32), NodeIdentity.from_seed(b"\2" * 32)


@pytest.fixture
def files(tmp_path: Path) -> NodeIdentityFiles:
    return NodeIdentityFiles(tmp_path / "node.identity")


def names(files: NodeIdentityFiles) -> set[str]:
    return {path.name.removeprefix("node.identity") for path in files.base.parent.iterdir()}


def contents_of(files: NodeIdentityFiles) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files.base.parent.iterdir()}


@pytest.mark.parametrize("case", NODES, ids=lambda case: case["name"])
def test_the_recorded_files_are_written_byte_for_byte(case: dict[str, Any], files: NodeIdentityFiles) -> None:
    identity = NodeIdentity.from_seed(bytes.fromhex(case["dht_identity_seed"]))
    dated = Certificate.decode(bytes.fromhex(case["certificate"])).not_before

    files.save(identity, dated)

    for suffix, path in (("dsa", files.dsa), ("pub", files.pub), ("cert", files.cert)):
        content = path.read_bytes()
        assert len(content) == case["file_lengths"][suffix]
        assert hashlib.sha3_512(content).hexdigest() == case["file_sha3_512"][suffix]
    assert files.seed.read_bytes() == identity.seed
    assert files.load(0) == identity


def test_no_files_mean_no_identity(files: NodeIdentityFiles) -> None:
    assert files.load(NOW) is None
    assert names(files) == set()


def test_the_first_start_makes_an_identity_and_later_starts_keep_it(files: NodeIdentityFiles) -> None:
    identity = files.load_or_create(NOW)
    before = {path: path.read_bytes() for path in (files.seed, files.dsa, files.pub, files.cert)}

    assert files.load_or_create(NOW + 1) == files.load(NOW + 2) == identity
    assert {path: path.read_bytes() for path in before} == before
    assert names(files) == {".seed", ".dsa", ".pub", ".cert"}


def test_files_and_new_directories_are_private(tmp_path: Path) -> None:
    files = NodeIdentityFiles(tmp_path / "data" / "node.identity")

    files.save(ALICE, NOW)

    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_without_the_optional_package_the_expanded_key_is_left_out(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dilithium_py.ml_dsa", None)
        files.save(ALICE, NOW)
        assert names(files) == {".seed", ".pub", ".cert"}
        assert files.load(NOW) == ALICE

    assert files.load(NOW) == ALICE  # the package is there now
    assert names(files) == {".seed", ".dsa", ".pub", ".cert"}


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_save_killed_between_files_leaves_nothing_or_an_identity(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    done: list[Path] = []

    def write_until_killed(path: Path, data: bytes) -> None:
        if len(done) == written:
            raise KeyboardInterrupt
        path.write_bytes(data)
        path.chmod(0o600)
        done.append(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(node_identity_files, "write_private", write_until_killed)
        files.save(ALICE, NOW)

    assert files.load(NOW) == (ALICE if written else None)
    assert names(files) == ({".seed", ".dsa", ".pub", ".cert"} if written else set())


def test_two_processes_that_start_together_get_the_same_identity(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[NodeIdentity] = []
    other = threading.Thread(target=lambda: made.append(NodeIdentityFiles(files.base).load_or_create(NOW)))

    def write(path: Path, data: bytes) -> None:
        if other.ident is None:  # the moment before the first file is there
            other.start()
            other.join(0.05)
        write_private(path, data)

    monkeypatch.setattr(node_identity_files, "write_private", write)
    made.append(files.load_or_create(NOW))
    other.join(10.0)

    assert made == [files.load(NOW)] * 2
    assert names(files) == {".seed", ".dsa", ".pub", ".cert"}


def test_saving_again_completes_and_never_replaces_another_identity(files: NodeIdentityFiles) -> None:
    files.save(ALICE, NOW)
    files.cert.unlink()
    files.save(ALICE, NOW)
    assert Certificate.decode(files.cert.read_bytes()).not_before == NOW

    with pytest.raises(StorageError, match="already holds an identity"):
        files.save(BOB, NOW)
    assert files.load(NOW) == ALICE


@pytest.mark.parametrize("suffix", [".cert", ".dsa"])
def test_a_damaged_companion_is_moved_aside_and_written_again(
    files: NodeIdentityFiles, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    files.save(ALICE, NOW)
    path = files.base.with_name(files.base.name + suffix)
    good = path.read_bytes()
    path.write_bytes(good[:-1])

    with caplog.at_level(logging.WARNING):
        assert files.load_or_create(NOW) == ALICE

    assert path.read_bytes() == good
    assert path.with_name(f"{path.name}.bad-{NOW}").read_bytes() == good[:-1]
    assert f"{path.name} is damaged" in caplog.text


def test_a_certificate_of_another_identity_is_moved_aside(files: NodeIdentityFiles) -> None:
    files.save(ALICE, NOW)
    files.cert.write_bytes(Certificate.of_node(BOB.public_key, NOW).encode())

    assert files.load(NOW) == ALICE
    assert Certificate.decode(files.cert.read_bytes()).public_key == ALICE.public_key
    assert f".cert.bad-{NOW}" in names(files)


def test_a_cut_public_key_is_replaced_when_another_file_vouches_for_the_seed(
    files: NodeIdentityFiles,
) -> None:
    files.save(ALICE, NOW)
    files.pub.write_bytes(ALICE.public_key[:100])

    assert files.load(NOW) == ALICE
    assert files.pub.read_bytes() == ALICE.public_key


def cut_the_seed_and_the_expanded_key(files: NodeIdentityFiles) -> None:
    for path in (files.seed, files.dsa):
        path.write_bytes(path.read_bytes()[:-1])


def add_to_the_seed_and_lose_the_expanded_key(files: NodeIdentityFiles) -> None:
    files.seed.write_bytes(files.seed.read_bytes() + b"\0")
    files.dsa.unlink()


def lose_the_secret(files: NodeIdentityFiles) -> None:
    files.seed.unlink()
    files.dsa.unlink()


def lose_the_seed_and_cut_the_expanded_key(files: NodeIdentityFiles) -> None:
    files.seed.unlink()
    files.dsa.write_bytes(files.dsa.read_bytes()[:-1])


def lose_the_seed_and_mix_identities(files: NodeIdentityFiles) -> None:
    files.seed.unlink()
    files.pub.write_bytes(BOB.public_key)
    files.cert.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        cut_the_seed_and_the_expanded_key,
        add_to_the_seed_and_lose_the_expanded_key,
        lose_the_secret,
        lose_the_seed_and_cut_the_expanded_key,
        lose_the_seed_and_mix_identities,
    ],
)
def test_damaged_files_are_refused_by_load_and_moved_aside_by_load_or_create(
    files: NodeIdentityFiles, damage: Any
) -> None:
    files.save(ALICE, NOW)
    damage(files)
    before = contents_of(files)

    with pytest.raises(CryptoError, match="damaged or do not belong together"):
        files.load(NOW)
    assert contents_of(files) == before

    identity = files.load_or_create(NOW)

    assert identity not in (ALICE, BOB)
    assert files.load(NOW) == identity
    for name, content in before.items():
        assert (files.base.parent / f"{name}.bad-{NOW}").read_bytes() == content


def flipped(content: bytes) -> bytes:
    return content[:16] + bytes((content[16] ^ 1,)) + content[17:]


@pytest.mark.parametrize("lost", [[], [".cert"], [".dsa"], [".seed"]])
@pytest.mark.parametrize("start", [NodeIdentityFiles.load, NodeIdentityFiles.load_or_create])
def test_a_flipped_bit_in_the_public_key_does_not_cost_the_identity(
    files: NodeIdentityFiles, lost: list[str], start: Start
) -> None:
    files.save(ALICE, NOW)
    before = contents_of(files)
    for suffix in lost:
        files.base.with_name(files.base.name + suffix).unlink()
    files.pub.write_bytes(flipped(ALICE.public_key))

    assert start(files, NOW) == ALICE

    aside = f"node.identity.pub.bad-{NOW}"
    if lost == [".seed"]:
        del before["node.identity.seed"]
    assert contents_of(files) == before | {aside: flipped(ALICE.public_key)}


def dispute_by_all(files: NodeIdentityFiles) -> None:
    files.dsa.write_bytes(b"")
    files.pub.write_bytes(BOB.public_key)
    files.cert.write_bytes(Certificate.of_node(BOB.public_key, NOW).encode())


def leave_only_a_flipped_public_key(files: NodeIdentityFiles) -> None:
    files.dsa.unlink()
    files.cert.unlink()
    files.pub.write_bytes(flipped(ALICE.public_key))


def flip_the_seed_and_lose_the_expanded_key(files: NodeIdentityFiles) -> None:
    files.dsa.unlink()
    files.seed.write_bytes(flipped(ALICE.seed or b""))


def empty_all_but_the_seed(files: NodeIdentityFiles) -> None:
    for path in (files.dsa, files.pub, files.cert):
        path.write_bytes(b"")


@pytest.mark.parametrize("start", [NodeIdentityFiles.load, NodeIdentityFiles.load_or_create])
@pytest.mark.parametrize(
    ("damage", "others"),
    [
        (dispute_by_all, r"node\.identity\.dsa, node\.identity\.pub, node\.identity\.cert"),
        (leave_only_a_flipped_public_key, r"node\.identity\.pub"),
        (flip_the_seed_and_lose_the_expanded_key, r"node\.identity\.pub, node\.identity\.cert"),
        (empty_all_but_the_seed, r"node\.identity\.dsa, node\.identity\.pub, node\.identity\.cert"),
    ],
)
def test_a_seed_that_nothing_vouches_for_is_refused_and_kept(
    files: NodeIdentityFiles, damage: Any, others: str, start: Start
) -> None:
    files.save(ALICE, NOW)
    damage(files)
    before = contents_of(files)

    with pytest.raises(
        CryptoError, match=rf"seed does not belong to {others} beside it.*restore .*or move the others away"
    ):
        start(files, NOW)
    assert contents_of(files) == before


@pytest.mark.parametrize("seed", [b"", b"\1" * 33, BOB.seed], ids=["empty", "longer", "other"])
@pytest.mark.parametrize("lost", [None, ".pub", ".cert"])
@pytest.mark.parametrize("start", [NodeIdentityFiles.load, NodeIdentityFiles.load_or_create])
def test_with_a_damaged_seed_the_expanded_key_is_the_identity(
    files: NodeIdentityFiles, seed: bytes, lost: str | None, start: Start
) -> None:
    files.save(ALICE, NOW)
    expected = contents_of(files)
    del expected["node.identity.seed"]
    files.seed.write_bytes(seed)
    if lost:
        files.base.with_name(files.base.name + lost).unlink()

    identity = start(files, NOW)

    assert identity == ALICE and identity is not None and identity.seed is None
    assert contents_of(files) == expected | {f"node.identity.seed.bad-{NOW}": seed}
    files.save(ALICE, NOW)  # the seed is known after all
    assert files.seed.read_bytes() == ALICE.seed


@pytest.mark.parametrize(
    ("seed", "error", "text"),
    [
        (b"cut", MissingPackageError, r"needs a sound node\.identity\.seed to be loaded"),
        (BOB.seed, CryptoError, r"seed does not belong to .*move the others away to keep the seed"),
    ],
)
def test_a_damaged_seed_without_the_package_for_the_expanded_key_is_refused(
    files: NodeIdentityFiles,
    monkeypatch: pytest.MonkeyPatch,
    seed: bytes,
    error: type[CryptoError],
    text: str,
) -> None:
    files.save(ALICE, NOW)
    files.seed.write_bytes(seed)
    before = contents_of(files)
    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", None)

    for start in (files.load, files.load_or_create):
        with pytest.raises(error, match=text):
            start(NOW)
    assert contents_of(files) == before


def as_the_reference_writes_it(files: NodeIdentityFiles) -> dict[str, bytes]:
    """Make *files* those of ALICE as a server of the reference has them, without a seed; their contents."""
    files.save(ALICE, NOW)
    files.seed.unlink()
    return contents_of(files)


def test_an_identity_with_only_an_expanded_key_is_used_as_it_is(
    files: NodeIdentityFiles, caplog: pytest.LogCaptureFixture
) -> None:
    before = as_the_reference_writes_it(files)

    for start in (files.load, files.load_or_create):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            identity = start(NOW)
        assert identity is not None and identity == ALICE
        assert identity.seed is None
        assert verify(ALICE.public_key, identity.sign(b"value"), b"value")
        assert [record.levelname for record in caplog.records] == ["INFO"]
        assert f"{files.dsa} has no sound seed" in caplog.text
    assert contents_of(files) == before
    assert files.secret == files.dsa


@pytest.mark.parametrize("pub", [None, b"", ALICE.public_key[:100]], ids=["missing", "empty", "cut"])
def test_the_certificate_vouches_for_an_expanded_key_without_a_public_key(
    files: NodeIdentityFiles, pub: bytes | None
) -> None:
    before = as_the_reference_writes_it(files)
    files.pub.unlink()
    if pub is not None:
        files.pub.write_bytes(pub)

    assert files.load(NOW) == ALICE
    assert {path.name: path.read_bytes() for path in (files.dsa, files.pub, files.cert)} == before
    assert (f".pub.bad-{NOW}" in names(files)) == (pub is not None)


@pytest.mark.parametrize("cert", [None, b"no certificate", Certificate.of_node(BOB.public_key, 0).encode()])
def test_the_certificate_of_an_expanded_key_is_mended(files: NodeIdentityFiles, cert: bytes | None) -> None:
    before = as_the_reference_writes_it(files)
    files.cert.unlink()
    if cert is not None:
        files.cert.write_bytes(cert)

    assert files.load(NOW) == ALICE
    assert {path.name: path.read_bytes() for path in (files.dsa, files.pub, files.cert)} == before


def test_without_the_package_that_signs_with_it_an_expanded_key_is_refused_and_kept(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = as_the_reference_writes_it(files)
    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", None)

    for start in (files.load, files.load_or_create):
        with pytest.raises(
            MissingPackageError,
            match=r"needs a sound node\.identity\.seed to be loaded: derive the identity again",
        ) as refusal:
            start(NOW)
        assert "run \"pip install 'dna-dht[deployed]'\" (package pqcrypto)" in str(refusal.value)
    assert contents_of(files) == before


def test_an_expanded_key_alone_is_refused_and_kept(files: NodeIdentityFiles) -> None:
    as_the_reference_writes_it(files)
    files.pub.unlink()
    files.cert.unlink()

    for start in (files.load, files.load_or_create):
        with pytest.raises(
            CryptoError, match=r"or put node\.identity\.pub or node\.identity\.cert beside it"
        ):
            start(NOW)
    assert names(files) == {".dsa"}


def test_an_expanded_key_with_a_damaged_part_is_noticed(files: NodeIdentityFiles) -> None:
    damaged = bytearray(as_the_reference_writes_it(files)["node.identity.dsa"])
    damaged[128:800] = bytes(672)  # s1, which no hash in the file covers
    files.dsa.write_bytes(damaged)

    with pytest.raises(CryptoError, match="damaged or do not belong together"):
        files.load(NOW)
    assert files.load_or_create(NOW) != ALICE
    assert files.dsa.with_name(f"{files.dsa.name}.bad-{NOW}").read_bytes() == damaged


def test_an_identity_without_a_seed_is_saved_without_one(files: NodeIdentityFiles) -> None:
    identity = ExportBlob.of(ALICE, NOW).identity()

    files.save(identity, NOW)

    assert names(files) == {".dsa", ".pub", ".cert"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.base.parent.iterdir()} == {0o600}
    assert files.load(NOW) == identity
    files.save(ALICE, NOW)  # the seed turned up
    assert files.seed.read_bytes() == ALICE.seed
    loaded = files.load(NOW)
    assert loaded is not None and loaded.seed == ALICE.seed


def test_the_secret_is_written_first_if_there_is_no_seed(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = ExportBlob.of(ALICE, NOW).identity()
    done: list[Path] = []

    def write_once(path: Path, data: bytes) -> None:
        if done:
            raise KeyboardInterrupt
        write_private(path, data)
        done.append(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(node_identity_files, "write_private", write_once)
        files.save(identity, NOW)
    assert names(files) == {".dsa"}

    files.save(identity, NOW)
    assert files.load(NOW) == identity


@pytest.mark.parametrize("left", [[".dsa"], [".dsa", ".pub"], [".pub"], [".cert"], [".pub", ".cert"]])
@pytest.mark.parametrize("seedless", [True, False])
def test_an_interrupted_save_is_completed_by_the_next(
    files: NodeIdentityFiles, left: list[str], seedless: bool
) -> None:
    before = as_the_reference_writes_it(files)
    for name in before:
        if name.removeprefix("node.identity") not in left:
            (files.base.parent / name).unlink()

    files.save(ExportBlob.of(ALICE, NOW).identity() if seedless else ALICE, NOW)

    assert {path.name: path.read_bytes() for path in (files.dsa, files.pub, files.cert)} == before
    assert files.seed.exists() != seedless
    with pytest.raises(StorageError, match="already holds an identity"):
        files.save(BOB, NOW)


@pytest.mark.parametrize("suffix", [".seed", ".dsa"])
def test_secret_files_others_may_read_are_refused_or_repaired(files: NodeIdentityFiles, suffix: str) -> None:
    files.save(ALICE, NOW)
    path = files.base.with_name(files.base.name + suffix)
    path.chmod(0o644)

    for start in (files.load, files.load_or_create):
        with pytest.raises(ConfigError, match=r"other users may access it"):
            start(NOW)
    assert NodeIdentityFiles(files.base, fix_permissions=True).load(NOW) == ALICE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.load(NOW) == ALICE


def test_a_sound_identity_in_a_directory_that_cannot_be_written_is_loaded(
    files: NodeIdentityFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files.save(ALICE, NOW)
    files.cert.unlink()

    def refuse(path: Path, data: bytes) -> None:
        raise StorageError(f"cannot write {path}: Read-only file system")

    monkeypatch.setattr(node_identity_files, "write_private", refuse)
    assert files.load(NOW) == ALICE
    assert "Read-only file system" in caplog.text
