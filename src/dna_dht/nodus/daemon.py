"""The life of `dna-nodus`: start, a line a minute, stop. Source: spec 04, 18.2 to 18.5.

Starting opens database and identity first and the socket last, so that nothing arrives before it can be kept.
Whatever fails is one sentence on standard error and an exit code; nothing is left half-written.

Stopping: the first SIGINT or SIGTERM sets an event, and the main loop stops the node within five seconds.
A second one exits at once with 1, which is harmless: what was acknowledged is on disk already. SIGHUP is
ignored, so that a server outlives the terminal it was started from.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from pathlib import Path

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import ConfigError, CryptoError, DhtError, StorageError
from dna_dht.keystore.node_identity_files import NodeIdentityFiles
from dna_dht.node import Node, NodeConfig
from dna_dht.nodus import lines, public_ip
from dna_dht.nodus.config import STATE_NAME, NodusConfig
from dna_dht.private_files import make_private_directory
from dna_dht.store.sqlite import SqliteStore

MINUTE = 60.0  # seconds between two stats lines; spec 04, 18.3
HAND_OVER = 2.5  # seconds of the five that stopping may take (spec 04, 18.5) to bring copies to other nodes
STORE_BYTES = 1024**3  # bytes of values of others; the reference sets no limit, spec 04, 2.2
STOPPED, FAILED, UNUSABLE = 0, 1, 3  # exit codes; docs/reference/exit-codes.md


def run(config: NodusConfig) -> int:
    """Run a server until a signal stops it, and return its exit code."""
    logging.basicConfig(
        level=logging.DEBUG if config.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    return asyncio.run(serve(config))


async def serve(config: NodusConfig, *, minute: float = MINUTE) -> int:
    """As :func:`run`, in the main thread's event loop. *minute*: seconds between two stats lines."""
    stop = asyncio.Event()
    watch_signals(stop)
    _say(*lines.banner(), *lines.configuration(config))
    host = _shown_host(config)
    _say("[DHT] Creating context...")
    try:
        node_config = _node_config(config)
    except (ConfigError, CryptoError, StorageError) as error:
        _complain(f"[DHT] ERROR: {error}")
        return UNUSABLE
    _say(f"[DHT] Starting on port {config.port}...")
    if config.persistence_path is not None:
        _say(lines.database(database_path(config.persistence_path)))
    try:
        node = Node(node_config)
        await node.start()
    except DhtError as error:
        _complain(f"[DHT] ERROR: Failed to start: {error}")
        return UNUSABLE if isinstance(error, StorageError) else FAILED
    identity = node_config.identity
    assert identity is not None
    _say(
        "[DHT] Started", f"[DHT] Node ID: {identity.node_id_text()[:16]}...", *lines.running(host, node.port)
    )
    if os.geteuid() == 0:
        _complain("[WARNING] Running as root, which nothing here needs: make a user for it")
    gc.collect()
    gc.freeze()  # what is here now stays: full collections need not look at it again
    try:
        await _report(node, stop, minute)
    finally:
        _say("", "Shutting down...")
        await node.stop()
    return STOPPED


def database_path(persistence_path: Path) -> Path:
    """Where the values of a server with this base path are."""
    return persistence_path.with_name(persistence_path.name + ".values.db")


def identity_base(persistence_path: Path) -> Path:
    """The base of the identity files of a server with this base path."""
    return persistence_path.with_name(persistence_path.name + ".identity")


def _node_config(config: NodusConfig) -> NodeConfig:
    """Settings of the node, with its database open and its identity loaded or made."""
    path, store = config.persistence_path, None
    if path is None:
        identity = NodeIdentity.generate()
    else:
        if path.is_dir():
            raise StorageError(f"{path} is a directory: name a file in it, like {path / STATE_NAME}")
        make_private_directory(path.parent)
        store = SqliteStore(database_path(path))
        try:
            files = NodeIdentityFiles(identity_base(path), fix_permissions=config.fix_permissions)
            identity = files.load_or_create(int(time.time()))
        except DhtError:
            store.close()
            raise
    ipv4, ipv6 = config.bind_host(4), config.bind_host(6)
    return NodeConfig(
        core=CoreConfig(
            network=config.network,
            bootstrap_mode=True,
            ipv4=ipv4 is not None,
            ipv6=ipv6 is not None,
            limits=Limits(store_bytes=STORE_BYTES),
        ),
        port=config.port,
        ipv4_host=ipv4 or "0.0.0.0",
        ipv6_host=ipv6 or "::",
        bootstrap=config.bootstrap,
        identity=identity,
        verifier=config.verifier,
        store=store,
        state_path=path,
        hand_over_timeout=HAND_OVER,
    )


def _shown_host(config: NodusConfig) -> str:
    """The address to show as ours: configured, bound, or detected."""
    if config.public_ip is not None:
        return config.public_ip
    if config.bind:
        return config.bind[0]
    detected = public_ip.detect()
    if detected is None:
        _complain("[IP] WARNING: Could not detect public IP")
        return ""
    _say(f"[IP] Auto-detected: {detected}")
    return detected


async def _report(node: Node, stop: asyncio.Event, minute: float) -> None:
    """Print a stats line every *minute* seconds until *stop*."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while not stop.is_set():
        passed = int((loop.time() - started) / minute)
        try:
            async with asyncio.timeout_at(started + (passed + 1) * minute):
                await stop.wait()
        except TimeoutError:
            _say(_stats_line(passed + 1, node))


def _stats_line(minutes: int, node: Node) -> str:
    stats = node.stats()
    store = stats["runtime"]["store"]
    return lines.stats(
        minutes,
        sum(stats["nodes"].values()),
        stats["stored_values"],
        None if store is None else store["values"],
        republishing=stats["runtime"]["restoring"] or stats["restoring"] > 0,
    )


def watch_signals(stop: asyncio.Event) -> None:
    """Set *stop* at the first SIGINT or SIGTERM, exit at the second, ignore SIGHUP. For the main thread."""

    def on_signal() -> None:
        if stop.is_set():
            os._exit(FAILED)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _say(*text: str) -> None:
    """Print lines at once. A reader that has gone away does not stop a server."""
    with contextlib.suppress(OSError):
        for line in text:
            print(line, flush=True)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
