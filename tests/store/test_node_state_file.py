from pathlib import Path

import pytest

from dna_dht.errors import StorageError
from dna_dht.store import node_state_file
from dna_dht.store.node_state_file import NodeStateFile, Ports


@pytest.fixture
def file(tmp_path: Path) -> NodeStateFile:
    return NodeStateFile(tmp_path / "node.state")


def test_nothing_was_written_yet(file: NodeStateFile) -> None:
    assert file.read() is None
    assert file.read_ports() is None


def test_the_last_state_written_is_read(file: NodeStateFile) -> None:
    file.write(b"first")
    file.write(b"second")

    assert file.read() == b"second"
    assert file.path.read_bytes() == b"second"


def test_an_empty_file_reads_as_none(file: NodeStateFile) -> None:
    file.path.write_bytes(b"")

    assert file.read() is None


def test_a_state_at_the_limit_passes_and_one_past_it_does_not(
    file: NodeStateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_state_file, "STATE_LIMIT", 8)
    file.write(b"12345678")
    assert file.read() == b"12345678"

    with pytest.raises(ValueError, match="at most 8 bytes"):
        file.write(b"123456789")
    file.path.write_bytes(b"123456789")
    assert file.read() is None


def test_ports_are_written_one_a_line(file: NodeStateFile) -> None:
    file.write_ports(Ports(4000, 65_535))

    assert (file.path.parent / "node.state_port.txt").read_bytes() == b"4000\n65535\n"
    assert file.read_ports() == Ports(ipv4=4000, ipv6=65_535)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"4000",
        b"4000\n4001\n4002\n",
        b"4000\n65536\n",
        b"-1\n4000\n",
        b"a\nb\n",
        b"\xff\n1\n",
        b"1\n1" + b" " * 65,
    ],
)
def test_a_damaged_port_file_reads_as_none(file: NodeStateFile, content: bytes) -> None:
    file.ports_path.write_bytes(content)

    assert file.read_ports() is None


def test_errors_name_the_file(file: NodeStateFile) -> None:
    file.path.mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*node\.state: it is not a file"):
        file.read()
    with pytest.raises(StorageError, match=r"cannot write .*node\.state"):
        file.write(b"state")
