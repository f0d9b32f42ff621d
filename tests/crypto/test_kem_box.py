from random import Random

import pytest
from fuzz import fuzz_kem_box
from fuzz.mutator import Mutator
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto import kem
from dna_dht.crypto.kem_box import MAX_CONTENT, OVERHEAD, close_box, open_box
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError, DecodeError, DecryptionError

SEED = bytes(range(32))
KEYS = {dialect: kem.decryption_key(SEED, dialect) for dialect in Dialect}
DOCUMENTED = KEYS[Dialect.DOCUMENTED]
GROUP_KEY = bytes(range(100, 132))
PAIRS = pytest.mark.parametrize(
    ("reader", "writer"), [(reader, writer) for reader in Dialect for writer in Dialect]
)


@PAIRS
@pytest.mark.parametrize(
    "content", [b"x", GROUP_KEY, b"words".ljust(256, b"\0"), bytes(MAX_CONTENT)], ids=len
)
def test_a_box_of_either_dialect_is_opened(reader: Dialect, writer: Dialect, content: bytes) -> None:
    box = close_box(content, KEYS[reader].public_key, writer)

    assert len(box) == len(content) + 1596
    assert open_box(box, KEYS[reader]) == content


def test_the_sizes_of_the_documented_boxes() -> None:
    sizes = [len(close_box(bytes(size), DOCUMENTED.public_key, Dialect.DOCUMENTED)) for size in (32, 64, 256)]

    assert sizes == [1628, 1660, 1852]


@given(st.binary(min_size=1, max_size=400), st.sampled_from(Dialect), st.sampled_from(Dialect))
def test_what_is_put_in_comes_out(content: bytes, reader: Dialect, writer: Dialect) -> None:
    assert open_box(close_box(content, KEYS[reader].public_key, writer), KEYS[reader]) == content


def test_every_changed_byte_is_noticed() -> None:
    box = close_box(b"x", DOCUMENTED.public_key, Dialect.DOCUMENTED)
    for place in range(len(box)):
        changed = bytearray(box)
        changed[place] ^= 1 << place % 8
        with pytest.raises(DecryptionError):
            open_box(bytes(changed), DOCUMENTED)


@PAIRS
def test_a_box_for_another_is_refused(reader: Dialect, writer: Dialect) -> None:
    box = close_box(GROUP_KEY, kem.decryption_key(bytes(32), reader).public_key, writer)

    with pytest.raises(DecryptionError):
        open_box(box, KEYS[reader])


def test_a_box_is_not_opened_by_the_same_seed_in_the_other_dialect() -> None:
    box = close_box(GROUP_KEY, DOCUMENTED.public_key, Dialect.DOCUMENTED)

    with pytest.raises(DecryptionError):
        open_box(box, KEYS[Dialect.DEPLOYED])


@pytest.mark.parametrize("size", [0, 1, 1567, 1568, OVERHEAD, OVERHEAD + MAX_CONTENT + 1])
def test_what_is_too_short_or_too_long_is_no_box(size: int) -> None:
    with pytest.raises(DecodeError, match="1,597 to 67,132 bytes"):
        open_box(bytes(size), DOCUMENTED)


def test_a_box_that_is_cut_off_is_refused() -> None:
    box = close_box(GROUP_KEY, DOCUMENTED.public_key, Dialect.DOCUMENTED)
    for length in range(len(box)):
        with pytest.raises((DecodeError, DecryptionError)):
            open_box(box[:length], DOCUMENTED)


@pytest.mark.parametrize("size", [0, MAX_CONTENT + 1])
def test_contents_out_of_range_are_not_boxed(size: int) -> None:
    with pytest.raises(ValueError, match="holds 1 to 65,536 bytes"):
        close_box(bytes(size), DOCUMENTED.public_key, Dialect.DOCUMENTED)


@pytest.mark.parametrize("key", [b"", bytes(1567), b"\xff" * 1568], ids=["empty", "short", "not reduced"])
@pytest.mark.parametrize("dialect", Dialect)
def test_nothing_is_boxed_for_a_damaged_key(key: bytes, dialect: Dialect) -> None:
    with pytest.raises(CryptoError, match="damaged"):
        close_box(GROUP_KEY, key, dialect)


def test_hostile_boxes() -> None:
    mutator = Mutator(Random("kem box"), fuzz_kem_box.seeds())
    for data in fuzz_kem_box.seeds():
        fuzz_kem_box.one_input(data)
    for _ in range(3000):
        fuzz_kem_box.one_input(mutator.next())


def test_the_target_notices_a_reader_that_ignores_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    box = next(iter(fuzz_kem_box.contents()))
    monkeypatch.setattr(fuzz_kem_box, "open_box", lambda box, key: b"x")

    fuzz_kem_box.one_input(box)
    with pytest.raises(KeyError):
        fuzz_kem_box.one_input(box[:-1] + bytes([box[-1] ^ 1]))
