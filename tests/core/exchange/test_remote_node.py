"""States, timing and tokens of one remote node."""

from math import inf

import pytest

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.wire.infohash import InfoHash

ID = InfoHash(bytes(range(20)))
NOW = 50_000.0


def make_node(*, heard: float = -inf, replied: float = -inf, expired: bool = False) -> RemoteNode:
    node = RemoteNode(ID, ("127.0.0.1", 4000))
    node.last_heard, node.last_reply, node.expired = heard, replied, expired
    return node


@pytest.mark.parametrize(
    ("heard_ago", "replied_ago", "expired", "state"),
    [
        (0, 0, False, "good"),
        (600, 7200, False, "good"),
        (600.1, 600.1, False, "dubious"),
        (0, 7200.1, False, "dubious"),
        (0, inf, False, "dubious"),
        (inf, inf, False, "dubious"),
        (0, 0, True, "expired"),
    ],
)
def test_states(heard_ago: float, replied_ago: float, expired: bool, state: str) -> None:
    node = make_node(heard=NOW - heard_ago, replied=NOW - replied_ago, expired=expired)

    assert node.is_good(NOW) is (state == "good")
    assert node.is_dubious(NOW) is (state == "dubious")
    assert node.is_old(NOW) is (heard_ago > 600)


def test_a_message_revives_but_only_an_answer_makes_good() -> None:
    node = make_node()
    node.timed_out()
    node.timed_out()
    assert node.expired and node.failures == 2

    node.heard(NOW)
    assert node.is_dubious(NOW) and node.failures == 2

    node.replied(NOW)
    assert node.is_good(NOW) and node.failures == 0


@pytest.mark.parametrize(("failures", "rest"), [(0, 60), (1, 60), (2, 120), (4, 480), (7, 3840), (99, 3840)])
def test_a_mention_revives_an_expired_node_after_a_rest(failures: int, rest: float) -> None:
    node = make_node(expired=True)
    node.failures, node.last_sent = failures, NOW
    node.mentioned(NOW + rest - 0.1)
    assert node.expired

    node.mentioned(NOW + rest)
    assert node.is_dubious(NOW + rest) and node.failures == failures


def test_round_trips_are_smoothed_as_tcp_does() -> None:
    node = make_node()
    assert node.retry_after() == 0.3

    node.replied(NOW, 0.1)
    assert (node.srtt, node.rttvar) == (0.1, 0.05)
    assert node.retry_after() == pytest.approx(0.5)

    node.replied(NOW, 0.02)
    assert node.rttvar == pytest.approx(0.05 * 3 / 4 + 0.08 / 4)
    assert node.srtt == pytest.approx(0.1 * 7 / 8 + 0.02 / 8)

    before = (node.srtt, node.rttvar)
    node.replied(NOW, None)
    assert (node.srtt, node.rttvar) == before


@pytest.mark.parametrize(("rtt", "wait"), [(0.0002, 0.06), (0.03, 0.15), (0.5, 1.0), (5.0, 1.0)])
def test_the_first_retry_stays_within_bounds(rtt: float, wait: float) -> None:
    node = make_node()
    node.replied(NOW, rtt)

    assert node.retry_after() == pytest.approx(wait)


def test_a_token_lasts_ten_minutes() -> None:
    node = make_node()
    assert not node.has_token(NOW)
    node.got_token(b"t" * 32, NOW)

    assert node.has_token(NOW + 600)
    assert not node.has_token(NOW + 600.1)


def test_the_fourth_refusal_in_a_row_expires_the_node() -> None:
    node = make_node()
    node.got_token(b"t", NOW)
    for _ in range(3):
        node.refused_token()
    assert not node.has_token(NOW) and not node.expired
    node.accepted_token()
    for _ in range(3):
        node.refused_token()
    assert not node.expired

    node.refused_token()
    assert node.expired


def test_moving_and_resetting_forget_what_belonged_to_the_path() -> None:
    moved, reset = make_node(), make_node()
    for node in (moved, reset):
        node.replied(NOW, 0.4)
        node.got_token(b"t", NOW)
    moved.moved(("127.0.0.2", 1))
    reset.reset()

    for node in (moved, reset):
        assert node.retry_after() == 0.3 and not node.has_token(NOW)


def test_a_reset_node_has_to_prove_itself_again() -> None:
    node = make_node()
    node.replied(NOW)
    node.timed_out()
    node.reset()

    assert node.is_dubious(NOW) and node.is_old(NOW) and node.failures == 0


def test_who_keeps_a_node_in_the_cache() -> None:
    node = make_node()
    assert not node.is_in_use()
    for name in ("in_table", "pending", "held"):
        other = make_node()
        setattr(other, name, 1)
        assert other.is_in_use()


def test_distance_and_family() -> None:
    node = RemoteNode(ID, ("::1", 4000))

    assert node.family == 6
    assert node.distance(int.from_bytes(ID, "big")) == 0
    assert node.distance(int.from_bytes(ID, "big") ^ 5) == 5
    assert repr(node) == "RemoteNode(00010203 ::1 4000)"
