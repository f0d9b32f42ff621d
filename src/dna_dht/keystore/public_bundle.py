"""The text in which the public keys of a user are handed on. Source: spec 03, section 10.4.

Five header lines, an empty one and base64 between ``-----BEGIN QGP PUBLIC KEY-----`` and its ``END``. The
binary inside: ASCII ``PQPUBKEY`` || version 2 || signing type 1 || encryption type 2 || 0 || sizes of the two
keys, u32 little-endian || signing key (2592) || encryption key (1568).

Nothing in it is signed: who hands it over vouches for it. The dialect of the encryption key is not told: the
header says ML-KEM-1024 in both.
"""

import base64
import binascii
import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from dna_dht.crypto import mldsa, mlkem
from dna_dht.crypto.identity import PublicIdentity
from dna_dht.errors import DecodeError
from dna_dht.keystore.file_kind import kind_of

MAX_LENGTH = 16_384  # characters read; our bound, a bundle has fewer than 6,500
MAX_NAME = 255  # bytes of UTF-8; that of the name in key files, spec 03, section 10.1
LATEST = 253_402_300_799  # Unix seconds; the end of the year 9999, which the text form can say

_BEGIN, _END = "-----BEGIN QGP PUBLIC KEY-----", "-----END QGP PUBLIC KEY-----"
_FIXED = {
    "Version": "qgp 1.1",
    "SigningAlgorithm": "ML-DSA-87",
    "EncryptionAlgorithm": "ML-KEM-1024",
}
_LINE = 64  # characters of base64 in a line we write
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) UTC")
_HEAD = (
    b"PQPUBKEY\x02\x01\x02\x00"
    + mldsa.PUBLIC_KEY_SIZE.to_bytes(4, "little")
    + mlkem.PUBLIC_KEY_SIZE.to_bytes(4, "little")
)
_SIZE = len(_HEAD) + mldsa.PUBLIC_KEY_SIZE + mlkem.PUBLIC_KEY_SIZE  # bytes, 4180


@dataclass(frozen=True, slots=True)
class PublicBundle:
    """The public keys of a user, with a name and a date that nobody vouches for.

    Attributes:
        public: the keys.
        name: up to 255 bytes of UTF-8, may be empty; printable, on one line, without blanks at its ends.
        created: when the bundle was made, Unix seconds, 0 to the end of the year 9999.

    Raises ValueError for a name or date out of these ranges, TypeError for a date that is not whole.
    """

    public: PublicIdentity
    name: str
    created: int

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise ValueError(f"a name is printable text of one line and at most {MAX_NAME} bytes")
        if not 0 <= operator.index(self.created) <= LATEST:
            raise ValueError(f"a date is 0 to {LATEST:,} Unix seconds, got {self.created:,}")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Parse a bundle. Line ends may be CRLF, and blanks at the ends of lines do not matter.

        Raises DecodeError, which says what is wrong, for anything else.
        """
        if len(text) > MAX_LENGTH:
            raise DecodeError(f"a public key bundle has at most {MAX_LENGTH:,} characters")
        lines = [line.rstrip(" \t\r") for line in text.strip(" \t\r\n").split("\n")]
        if lines[0] != _BEGIN:
            given = kind_of(text[:100].encode("utf-8", "replace"))
            raise DecodeError(
                f"this is {given}, not a public key bundle: its first line has to be {_BEGIN!r}"
            )
        if lines[-1] != _END or len(lines) < 2:
            raise DecodeError(f"the public key bundle is cut off: its last line has to be {_END!r}")
        if "" not in lines:
            raise DecodeError("the public key bundle lacks the empty line after its header")
        gap = lines.index("")
        header = _header(lines[1:gap])
        for name, value in _FIXED.items():
            if header[name] != value:
                raise DecodeError(
                    f"the public key bundle has {name} {header[name]!r:.40}, only {value!r} is known"
                )
        if not _is_name(header["Name"]):
            raise DecodeError("the name in the public key bundle is too long or not printable")
        return cls(_keys("".join(lines[gap + 1 : -1])), header["Name"], _seconds(header["Created"]))

    def encode(self) -> str:
        """The text, with LF line ends, the last one included."""
        binary = base64.b64encode(
            _HEAD + self.public.signing_public_key + self.public.encryption_public_key
        ).decode()
        created = datetime.fromtimestamp(self.created, UTC)
        lines = (
            _BEGIN,
            f"Version: {_FIXED['Version']}",
            f"Name: {self.name}",
            f"SigningAlgorithm: {_FIXED['SigningAlgorithm']}",
            f"EncryptionAlgorithm: {_FIXED['EncryptionAlgorithm']}",
            f"Created: {created.year:04}-{created:%m-%d %H:%M:%S} UTC",
            "",
            *(binary[start : start + _LINE] for start in range(0, len(binary), _LINE)),
            _END,
        )
        return "".join(f"{line}\n" for line in lines)


def _is_name(name: str) -> bool:
    return (
        name.isprintable()  # so no line ends, which would start another header line, and no surrogates
        and name == name.strip()
        and len(name) <= MAX_NAME
        and len(name.encode()) <= MAX_NAME
    )


def _header(lines: list[str]) -> dict[str, str]:
    """The five header fields; others are ignored, none of the five may be missing or there twice."""
    found: dict[str, str] = {}
    known = {*_FIXED, "Name", "Created"}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name in found:
            raise DecodeError(
                f"the public key bundle has a header line that is none or there twice: {line!r:.40}"
            )
        if name in known:
            found[name] = value.lstrip(" \t")
    if missing := sorted(known - found.keys()):
        raise DecodeError(f"the header of the public key bundle lacks {', '.join(missing)}")
    return found


def _seconds(date: str) -> int:
    match = _DATE.fullmatch(date)
    try:
        if match is not None:
            year, month, day, hour, minute, second = map(int, match.groups())
            seconds = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
            if 0 <= seconds <= LATEST:
                return seconds
    except ValueError:  # no such day
        pass
    raise DecodeError(f"the public key bundle has no date like '2026-01-23 12:00:00 UTC': {date!r:.40}")


def _keys(encoded: str) -> PublicIdentity:
    try:
        binary = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise DecodeError("the public key bundle is damaged: its keys are not base64") from None
    if base64.b64encode(binary).decode() != encoded:  # bits that mean nothing
        raise DecodeError("the public key bundle is damaged: its base64 ends wrongly")
    if len(binary) != _SIZE or not binary.startswith(_HEAD):
        raise DecodeError(
            "the public key bundle does not hold the two keys of a user, or is of a newer version"
        )
    middle = len(_HEAD) + mldsa.PUBLIC_KEY_SIZE
    return PublicIdentity(binary[len(_HEAD) : middle], binary[middle:])
