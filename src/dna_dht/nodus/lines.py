"""What `dna-nodus` prints: the lines of spec 04, 18.4, one a call, and the stats line of the seed, 7.6."""

from pathlib import Path

from dna_dht import __version__
from dna_dht.nodus.config import NodusConfig

_RULE = "==============================="
_UNITS = ("B", "KB", "MB", "GB", "TB")  # 1024 steps


def banner() -> list[str]:
    """The first lines of every start."""
    return [
        f"DNA Nodus v{__version__} - Post-Quantum DHT Bootstrap",
        "FIPS 204 / ML-DSA-87 (Dilithium5) - NIST Category 5 Security",
        "",
    ]


def configuration(config: NodusConfig) -> list[str]:
    """The settings in force."""
    return [
        "=== DNA Nodus Configuration ===",
        "DHT:",
        f"  port: {config.port}",
        f"  seed_nodes: {', '.join(config.bootstrap)}",
        f"  persistence_path: {config.persistence_path or ''}",
        "General:",
        f"  identity: {config.identity}",
        f"  public_ip: {config.public_ip or 'auto'}",
        f"  verbose: {str(config.verbose).lower()}",
        _RULE,
    ]


def running(host: str, port: int) -> list[str]:
    """The lines that say the node is ready for others."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ["", f"=== DNA Nodus v{__version__} Running ===", f"DHT:   {where}", _RULE, ""]


def database(path: Path) -> str:
    """Path and size of the database file; ``0 B`` while there is none."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return f"[DHT] Database: {path} ({size_text(size)})"


def size_text(size: int) -> str:
    """Bytes as the reference writes them: two decimals and a 1024-step unit, but ``0 B``."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.2f} {_UNITS[unit]}" if size else "0 B"


def stats(minutes: int, nodes: int, values: int, rows: int | None, *, republishing: bool) -> str:
    """The line of each minute.

    Args:
        minutes: since the start.
        nodes: good and dubious ones, both families.
        values: stored in memory.
        rows: values in the database; None without one.
        republishing: values loaded from the database are still being announced.
    """
    line = f"[{minutes} min] [{nodes} nodes] [{values} values]"
    if rows is not None:
        line += f" | DB: {rows} values"
    return line + (" (republishing...)" if republishing else "")
