"""Stand-in signatures behave like signatures: sound, deterministic, of real size."""

from dna_dht.testing.fake_crypto import FakeCrypto
from dna_dht.wire.limits import PUBLIC_KEY, SIGNATURE
from dna_dht.wire.value_codec import pack, signed_bytes, unpack


def test_what_an_identity_signs_verifies_after_a_trip_over_the_wire() -> None:
    crypto = FakeCrypto()
    value = unpack(pack(crypto.identity("alice").value(b"hello", value_id=7, seq=3)))
    assert (len(value.owner), len(value.signature), value.seq) == (PUBLIC_KEY, SIGNATURE, 3)
    assert crypto.verify(value.owner, value.signature, signed_bytes(value))


def test_other_messages_owners_and_signatures_do_not_verify() -> None:
    crypto = FakeCrypto()
    alice, bob = crypto.identity("alice"), crypto.identity("bob")
    signature = alice.sign(b"message")
    assert not crypto.verify(alice.public_key, signature, b"other message")
    assert not crypto.verify(bob.public_key, signature, b"message")
    assert not crypto.verify(alice.public_key, signature[:-1] + b"\x01", b"message")
    assert not crypto.verify(bytes(PUBLIC_KEY), signature, b"message")


def test_values_of_one_owner_share_its_key() -> None:
    alice = FakeCrypto().identity("alice")
    assert alice.value(b"1", value_id=1).owner is alice.value(b"2", value_id=2).owner


def test_the_same_name_is_the_same_identity_everywhere() -> None:
    assert FakeCrypto().identity("alice").sign(b"x") == FakeCrypto().identity("alice").sign(b"x")
    assert FakeCrypto().identity("alice").public_key != FakeCrypto().identity("bob").public_key
