"""Packages of the extra ``deployed``, loaded when they are first needed. Source: spec 03, section 4.6."""

import importlib
from types import ModuleType

from dna_dht.errors import CryptoError


def extra(module: str, package: str) -> ModuleType:
    """The *module* of an optional *package*; CryptoError, which says what to install, if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CryptoError(
            f"keys of release 0.6.27 need the package {package}: run \"pip install 'dna-dht[deployed]'\""
        ) from None
