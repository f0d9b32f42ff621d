"""Packages of the extra ``deployed``, loaded when they are first needed. Source: spec 03, section 4.6."""

import importlib
from types import ModuleType

from dna_dht.errors import MissingPackageError


def extra(module: str, package: str) -> ModuleType:
    """The *module* of an optional *package*; MissingPackageError, which says what to install, without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError):
            raise MissingPackageError(
                f"the package {package} is installed but cannot be loaded ({error}): install another version"
            ) from None
        raise MissingPackageError(
            f"keys of release 0.6.27 need the package {package}: run \"pip install 'dna-dht[deployed]'\""
        ) from None
