import copy
import hashlib
import json
import pickle
import traceback
import unicodedata
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import fuzz_mnemonic
from fuzz.mutator import Mutator
from hypothesis import given, settings
from hypothesis import strategies as st
from mnemonic import Mnemonic as Bip39

from dna_dht.crypto.mnemonic import WORD_COUNTS, Mnemonic
from dna_dht.errors import MnemonicError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-derivation.json"
CASES: dict[str, list[dict[str, Any]]] = json.loads(PATH.read_text())["cases"]
LIST: list[str] = Bip39("english").wordlist
TWELVE = "absurd document sheriff demise dress october topic angry exact priority boat stamp"
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", " \v\f "]

entropies = st.sampled_from([16, 20, 24, 28, 32]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)


def refusal(words: str) -> str:
    with pytest.raises(MnemonicError) as refused:
        Mnemonic(words)
    return str(refused.value)


@pytest.mark.parametrize("case", CASES["mnemonics"], ids=lambda case: case["name"])
def test_recorded_entropy_gives_the_recorded_words_and_seeds(case: dict[str, Any]) -> None:
    mnemonic = Mnemonic.from_entropy(bytes.fromhex(case["entropy"]))

    assert mnemonic.words == case["mnemonic"]
    assert mnemonic == Mnemonic(case["mnemonic"])
    assert mnemonic.master_seed().hex() == case["master_seed"]
    assert mnemonic.master_seed("TREZOR").hex() == case["master_seed_with_passphrase_TREZOR"]


def ours(case: dict[str, Any]) -> bool:
    """What we answer where the reference says otherwise: case does not matter, a 25th word does."""
    words: str = case["mnemonic"]
    if words.startswith("Abandon"):
        return True
    if words.endswith("art zoo"):
        return False
    valid: bool = case["reference_says_valid"]
    return valid


@pytest.mark.parametrize("case", CASES["validation"], ids=range(len(CASES["validation"])))
def test_recorded_answers_to_valid_and_invalid_words(case: dict[str, Any]) -> None:
    if ours(case):
        assert Mnemonic(case["mnemonic"]).words == " ".join(case["mnemonic"].lower().split())
    else:
        refusal(case["mnemonic"])


def test_spaces_do_not_change_the_seed_as_they_do_in_the_reference() -> None:
    typed = next(case["mnemonic"] for case in CASES["validation"] if case["mnemonic"].startswith("  "))

    assert Mnemonic(typed).master_seed() == Mnemonic(" ".join(typed.split())).master_seed()


def test_the_list_is_the_standard_one() -> None:
    text = "".join(f"{word}\n" for word in LIST)

    assert hashlib.sha256(text.encode()).hexdigest() == (
        "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )


@settings(deadline=None)
@given(entropies)
def test_every_entropy_gives_words_that_give_it_back(entropy: bytes) -> None:
    mnemonic = Mnemonic.from_entropy(entropy)
    words = mnemonic.words.split(" ")

    assert len(words) * 4 == len(entropy) * 3
    indexes = "".join(f"{LIST.index(word):011b}" for word in words)
    checksum = len(entropy) // 4
    assert int(indexes[:-checksum], 2).to_bytes(len(entropy), "big") == entropy
    assert indexes[-checksum:] == f"{hashlib.sha256(entropy).digest()[0]:08b}"[:checksum]
    assert Mnemonic(mnemonic.words) == mnemonic
    assert mnemonic.master_seed() == hashlib.pbkdf2_hmac(
        "sha512", mnemonic.words.encode(), b"mnemonic", 2048, 64
    )


@settings(deadline=None)
@given(entropies, st.randoms(use_true_random=False))
def test_any_spelling_of_the_words_is_the_same_mnemonic(entropy: bytes, random: Random) -> None:
    mnemonic = Mnemonic.from_entropy(entropy)
    typed = random.choice(["", *SPACES])
    for word in mnemonic.words.split():
        spelled = random.choice([str, str.upper, str.title, str.swapcase, full_width, mathematical])(word)
        typed += spelled + random.choice(SPACES)

    assert Mnemonic(typed) == mnemonic
    assert Mnemonic(unicodedata.normalize("NFKD", typed)).master_seed() == mnemonic.master_seed()
    assert Mnemonic(unicodedata.normalize("NFKC", typed)).words == mnemonic.words


def full_width(word: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) for letter in word.upper())


def mathematical(word: str) -> str:
    return "".join(chr(0x1D400 + ord(letter) - ord("a")) for letter in word)  # bold capitals


def test_letters_that_only_look_like_others_are_refused() -> None:
    first, rest = TWELVE.split(" ", 1)
    assert Mnemonic(f"{first} {rest}").words == TWELVE

    assert "word 6, " in refusal(TWELVE.replace("october", "о" + "ctober"))  # a Cyrillic letter
    dotted = refusal(TWELVE.replace("sheriff", "SHERİFF"))  # lower() of it has two characters
    assert "word 3, " in dotted and dotted.endswith("did you mean 'sheriff'?")
    assert "word 3, " in refusal(TWELVE.replace("sheriff", "sherıff"))
    assert Mnemonic(TWELVE.replace("sheriff", "SHERIFF")).words == TWELVE  # whatever the locale is
    assert Mnemonic(TWELVE.replace("sheriff", "sheri\ufb00")).words == TWELVE  # the ligature of two f
    assert Mnemonic(TWELVE.replace("stamp", "\u017ftamp")).words == TWELVE  # the long s
    assert "word 12, " in refusal(TWELVE.replace("stamp", "sta\u0301mp"))
    assert "word 12, " in refusal(TWELVE.replace("stamp", "sta\u200bmp"))


@settings(deadline=None)
@given(entropies, st.randoms(use_true_random=False))
def test_one_wrong_word_is_named_or_the_checksum_tells(entropy: bytes, random: Random) -> None:
    words = Mnemonic.from_entropy(entropy).words.split()
    place = random.randrange(len(words))
    original = words[place]
    words[place] = random.choice([original + "x", original[1:], "x" + original, random.choice(LIST)])

    typed = " ".join(words)
    if words[place] in LIST:
        if typed != Mnemonic.from_entropy(entropy).words and not Bip39("english").check(typed):
            assert "the checksum is wrong" in refusal(typed)
        else:
            assert Mnemonic(typed).words == typed
    else:
        assert refusal(typed).startswith(f"word {place + 1}, {words[place]!r}, is not in the list")


def test_of_words_with_one_slip_most_are_recognised() -> None:
    """A letter changed, left out, put in or swapped; some slips are as near to another word."""
    random, recognised, slips = Random(1), 0, 0
    while slips < 60:
        word = random.choice(LIST)
        place, letter = random.randrange(len(word)), random.choice("abcdefghijklmnopqrstuvwxyz")
        before, at, after = word[:place], word[place], word[place + 1 :]
        slip = before + random.choice(
            [letter + after, after, letter + at + after, after[:1] + at + after[1:]]
        )
        if slip in LIST:
            continue
        slips += 1
        recognised += refusal(" ".join([slip, *TWELVE.split()[1:]])).endswith(f"did you mean {word!r}?")
    assert recognised >= 0.8 * slips


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("aboutt", "about"), ("absrud", "absurd"), ("docment", "document"), ("sherrif", "sheriff")],
)
def test_usual_slips_are_recognised(typed: str, meant: str) -> None:
    assert refusal(" ".join([typed, *TWELVE.split()[1:]])) == (
        f"word 1, {typed!r}, is not in the list of recovery words: did you mean {meant!r}?"
    )


def test_a_wrong_order_is_told_by_the_checksum() -> None:
    words = TWELVE.split()
    words[0], words[1] = words[1], words[0]

    message = refusal(" ".join(words))
    assert "the checksum is wrong" in message and "check their order" in message
    assert not any(word in message.split() for word in words if word not in ("exact",))


@pytest.mark.parametrize("count", [0, 1, 2, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 48])
def test_another_number_of_words_is_refused(count: int) -> None:
    message = refusal(" ".join(["abandon"] * count))

    assert message == f"12, 15, 18, 21 or 24 recovery words are needed, got {count}"


@pytest.mark.parametrize("size", [0, 1, 12, 15, 17, 31, 33, 64])
def test_another_amount_of_entropy_is_refused(size: int) -> None:
    with pytest.raises(ValueError) as refused:
        Mnemonic.from_entropy(b"\xa5" * size)
    assert "a5a5" not in str(refused.value) and "\\xa5" not in str(refused.value)


@pytest.mark.parametrize("count", WORD_COUNTS)
def test_new_words_have_the_number_asked_for_and_differ(count: int) -> None:
    first, second = Mnemonic.generate(count), Mnemonic.generate(count)

    assert len(first.words.split(" ")) == count
    assert first != second
    assert len(Mnemonic.generate().words.split(" ")) == 24


@pytest.mark.parametrize("count", [-12, 0, 3, 13, 27])
def test_new_words_in_another_number_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="12, 15, 18, 21 or 24"):
        Mnemonic.generate(count)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "\0" * 999,
        "\ud800" * 12,
        " ".join(["\ud800"] * 12),
        " ".join(["\udfff\0"] * 24),
        " ".join(["\ufdfa"] * 24),
        "\ufdfa" * 1_000,  # each becomes 18 characters and three spaces
        "a" * 10_000_000,
        "abandon " * 1_250_000,
        "\u3000" * 10_000_000,
        " ".join(["a" * 900, *["b"] * 11]),
        " ".join(["\u0130" * 70] * 12),
        " ".join(["\U0001f600"] * 12),
        "\ufeff" + TWELVE,
        TWELVE.replace(" ", ","),
        TWELVE.replace(" ", "\u200b"),
        TWELVE + "\0",
    ],
    ids=range(18),
)
def test_huge_and_odd_texts_are_refused_in_a_short_sentence(text: str) -> None:
    message = refusal(text)

    assert len(message) < 200
    assert message.isprintable()


def test_what_is_longer_than_any_words_is_not_looked_at() -> None:
    spaced = TWELVE.replace(" ", " " * 80)
    assert Mnemonic(spaced[:1_000].ljust(1_000)).words == TWELVE

    assert refusal(spaced.ljust(1_001)) == (
        "recovery words have at most 1,000 characters: give the words only"
    )


def test_secrets_do_not_leak_through_texts_or_copies() -> None:
    mnemonic = Mnemonic(TWELVE)

    for text in (repr(mnemonic), str(mnemonic), f"{mnemonic}", f"{[mnemonic]}"):
        assert text.strip("[]") == "<Mnemonic of 12 words>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled") as refused:
            leak(mnemonic)
        assert "absurd" not in "".join(traceback.format_exception(refused.value))
    assert hash(mnemonic) == hash(Mnemonic(TWELVE)) and mnemonic != TWELVE


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (TWELVE + " zoo", []),
        (TWELVE.replace("stamp", "zoo"), []),
        (TWELVE.replace("stamp", "stampp"), ["stampp", "stamp"]),
        (TWELVE * 20, []),
    ],
    ids=["count", "checksum", "wrong word", "too long"],
)
def test_no_error_shows_other_words_than_the_wrong_one(typed: str, named: list[str]) -> None:
    with pytest.raises(MnemonicError) as refused:
        Mnemonic(typed)

    shown = "".join(traceback.format_exception(refused.value))
    assert refused.value.__cause__ is refused.value.__context__ is None
    hidden = [word for word in TWELVE.split() if word not in (*named, "exact", "boat")]
    assert not [word for word in hidden if word in shown]


def test_hostile_input() -> None:
    mutator = Mutator(Random("mnemonic"), fuzz_mnemonic.seeds())
    for data in (*fuzz_mnemonic.seeds(), *(mutator.next() for _ in range(3000))):
        fuzz_mnemonic.one_input(data)
