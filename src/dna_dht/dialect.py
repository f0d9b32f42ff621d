"""Dialect: the two ways the system is spoken. Source: spec 00, section 2.

====================  ==================================  =====================================
Topic                 DOCUMENTED                          DEPLOYED
====================  ==================================  =====================================
KEM of user keys      ML-KEM-1024, FIPS 203               round-3 Kyber1024
text of a node id     SHA3-512, 128 hex digits            SHA-256, 64 hex digits
====================  ==================================  =====================================

Key files follow the KEM: each holds what its keys can be loaded from. Nothing else depends on the dialect.
Reading is tolerant in both wherever one read serves both forms.
"""

from enum import Enum

NO_DIALECT = "a dialect is Dialect.DOCUMENTED or Dialect.DEPLOYED"
"""What a TypeError says of something else; never what was given, which may be a passphrase."""


class Dialect(Enum):
    """One immutable value, given to whoever needs it; never a global."""

    DOCUMENTED = "documented"
    """As the system is documented. The default."""
    DEPLOYED = "deployed"
    """As release 0.6.27 speaks: to exchange messages with its users. Needs the extra ``deployed``."""
