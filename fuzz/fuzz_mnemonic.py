"""Recovery words as a user types them: a mnemonic, or MnemonicError; judged by other code as well."""

import hashlib
import unicodedata
from functools import cache
from zlib import crc32

from mnemonic import Mnemonic as Bip39

from dna_dht.crypto.mnemonic import WORD_COUNTS, Mnemonic
from dna_dht.errors import MnemonicError
from fuzz.samples import load

__all__ = ["one_input", "seeds"]

_LONGEST = 1_000  # characters
_NEAREST = 64  # one in so many wrong words is looked up among all words, which takes 15 ms


def seeds() -> list[bytes]:
    """Recorded words, right and wrong ones, and spellings that are hard to compare."""
    cases = load("crypto-derivation.json")["cases"]
    texts = [case["mnemonic"] for case in (*cases["mnemonics"], *cases["validation"])]
    words = texts[0].split()
    texts += [
        "\u3000".join(words).upper(),
        "".join(chr(ord(letter) + 0xFEE0) if letter > " " else letter for letter in texts[0]),
        texts[0].replace("sheriff", "sheri\ufb00").replace("stamp", "\u017ftamp"),
        texts[0].replace("sheriff", "SHERİFF"),
        "\ufeff" + "\r\n".join(words),
        "\ufdfa" * 12 + "\0",
    ]
    return [*(text.encode() for text in texts), b"\xdb\x00\x00\x00\x4c" + texts[0].encode()]


def one_input(data: bytes) -> None:
    """Check one text; and words of the list chosen by the input, of which one in 16 is a mnemonic."""
    _check(data.decode("utf-8", "surrogateescape"), crc32(data))
    if len(data) >= 24:
        listed = list(_indexes())
        chosen = [listed[int.from_bytes(data[i : i + 2], "big") % 2048] for i in range(0, 24, 2)]
        _check(" ".join(chosen), 0)


def _check(text: str, chance: int) -> None:
    words = unicodedata.normalize("NFKD", text).lower().split() if len(text) <= _LONGEST else []
    unknown = [word for word in words if word not in _indexes()]
    if len(words) in WORD_COUNTS and unknown and chance % _NEAREST:
        return
    try:
        mnemonic = Mnemonic(text)
    except MnemonicError as error:
        message = str(error)
        assert len(message) < 400 and message.isprintable()
        assert unknown or not _belong_together(words)
        named = [word for word in set(words) - {"order", "word"} if f"'{word}'" in message]
        assert not named or unknown, "only the word nearest to a wrong one may be shown"
        return
    assert not unknown and _belong_together(words)
    assert mnemonic.words == " ".join(words)
    assert Mnemonic(mnemonic.words) == mnemonic
    assert mnemonic.words not in repr(mnemonic)


@cache
def _indexes() -> dict[str, int]:
    return {word: index for index, word in enumerate(Bip39("english").wordlist)}


def _belong_together(words: list[str]) -> bool:
    if len(words) not in WORD_COUNTS:
        return False
    bits = "".join(f"{_indexes()[word]:011b}" for word in words)
    checksum = len(words) // 3
    entropy = int(bits[:-checksum], 2).to_bytes((len(bits) - checksum) // 8, "big")
    return f"{hashlib.sha256(entropy).digest()[0]:08b}"[:checksum] == bits[-checksum:]


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
