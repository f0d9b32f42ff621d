"""A letter for two friends: they read it and know who wrote it, a fourth person cannot open it.

    python examples/sealed_letter.py

Nothing is sent: the sealed bytes may travel any way, through the DHT as well as on paper.
"""

import time

from dna_dht import DecryptionError, Identity, Mnemonic, open_sealed, seal


def main() -> None:
    """Make four people, seal, open three times."""
    alice, bob, carol, eve = (Identity.from_mnemonic(Mnemonic.generate()) for _ in range(4))
    letter = b"Meet me at the old mill. Bring bread."

    sealed = seal(letter, alice, [bob.public, carol.public], timestamp=int(time.time()))
    print(f"a letter of {len(letter)} bytes, sealed for Bob and Carol: {len(sealed):,} bytes")

    known = {alice.fingerprint: alice.public.signing_public_key}  # whose keys Bob and Carol have
    for name, reader in (("Bob", bob), ("Carol", carol), ("Eve", eve)):
        try:
            opened = open_sealed(sealed, reader, find_key=known.get)
        except DecryptionError as error:
            print(f"{name}: {error}")
            continue
        author = "Alice" if opened.verified and opened.sender == alice.fingerprint else "somebody unknown"
        print(
            f"{name}, recipient {opened.recipient + 1} of {opened.recipients}, reads from {author}:", end=" "
        )
        print(opened.plaintext.decode())


if __name__ == "__main__":
    main()
