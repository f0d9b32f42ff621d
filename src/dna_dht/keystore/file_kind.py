"""What a file is, by its first bytes, to name the wrong one. Source: spec 03, sections 6, 9 and 10."""

_KINDS = (
    (b"PQSIGNUM", "a private key file"),
    (b"DNAK", "a password-protected key file"),
    (b"QGPPUBK", "a public key file"),
    (b"PQPUBKEY", "a public key bundle"),
    (b"-----BEGIN QGP PUBLIC KEY-----", "a public key bundle"),
    (b"PQSIGENC", "a sealed message"),
    (b"\x00\x00\x13\x20", "an exported node identity"),  # the length 4896, big-endian
)


def kind_of(data: bytes) -> str:
    """A few words for the user: ``"a sealed message"``, or ``"something else"`` if it is not recognised."""
    return next((kind for magic, kind in _KINDS if data.startswith(magic)), "something else")
