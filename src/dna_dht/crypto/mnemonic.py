"""Recovery words (BIP39, English) and the master seed they stand for. Source: spec 03, section 2.1."""

import difflib
import functools
import secrets
import unicodedata
from typing import Self

from mnemonic import Mnemonic as Bip39

from dna_dht.errors import MnemonicError

WORD_COUNTS = (12, 15, 18, 21, 24)
"""How many words a mnemonic may have: 16, 20, 24, 28 or 32 bytes of entropy; BIP39."""

_LONGEST = 1_000  # characters looked at; 24 words and their spaces have at most 215


class Mnemonic:
    """12 to 24 words: the whole identity. Immutable; equal when the words are; its text hides them."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        """Check *words*: case, accents' spelling (NFKD) and the white space between them do not matter.

        Raises MnemonicError if their number is not 12, 15, 18, 21 or 24, a word is not in the list (the
        message names it and the nearest one), or the checksum does not fit.
        """
        if len(words) > _LONGEST:
            raise MnemonicError(f"recovery words have at most {_LONGEST:,} characters: give the words only")
        given = unicodedata.normalize("NFKD", words).lower().split()
        if len(given) not in WORD_COUNTS:
            raise MnemonicError(f"12, 15, 18, 21 or 24 recovery words are needed, got {len(given)}")
        for place, word in enumerate(given, start=1):
            if word not in _known():
                raise MnemonicError(
                    f"word {place}, {word[:20]!r}, is not in the list of recovery words:"
                    f" did you mean {_nearest(word)!r}?"
                )
        self._words = " ".join(given)
        if not _bip39().check(self._words):
            raise MnemonicError(
                "the recovery words do not belong together (the checksum is wrong):"
                " check their order, and that each is the word you wrote down"
            )

    @classmethod
    def generate(cls, count: int = 24) -> Self:
        """*count* new words from the operating system's generator; ValueError for a count not allowed."""
        if count not in WORD_COUNTS:
            raise ValueError(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {count}")
        return cls.from_entropy(secrets.token_bytes(count * 4 // 3))

    @classmethod
    def from_entropy(cls, entropy: bytes) -> Self:
        """The words of 16, 20, 24, 28 or 32 secret bytes; ValueError for another length."""
        return cls(_bip39().to_mnemonic(entropy))

    @property
    def words(self) -> str:
        """The words, lower case, one space between them. Handle with care."""
        return self._words

    def master_seed(self, passphrase: str = "") -> bytes:
        """The 64 secret bytes all keys follow from (PBKDF2-HMAC-SHA512, 2,048 rounds, about 1 ms).

        The system never uses a *passphrase*: with one, the keys are other keys.
        """
        return Bip39.to_seed(self._words, passphrase)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mnemonic):
            return NotImplemented
        return secrets.compare_digest(self._words, other._words)

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"<Mnemonic of {self._words.count(' ') + 1} words>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Mnemonic is not pickled: its words would leave the process unnoticed")


@functools.cache
def _bip39() -> Bip39:
    return Bip39("english")


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(_bip39().wordlist)


def _nearest(word: str) -> str:
    return difflib.get_close_matches(word[:20], _bip39().wordlist, n=1, cutoff=0.0)[0]
