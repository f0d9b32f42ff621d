"""Pieces of a value: any order, no overlap, the result is exactly what was cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.exchange.pieces import Fit, Pieces


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_cut_in_any_order_joins_to_the_whole(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))) | {0, len(whole)})
    parts = [(start, whole[start:end]) for start, end in pairwise(cuts)]
    order = data.draw(st.permutations(parts))
    copies = data.draw(st.lists(st.sampled_from(parts), max_size=5))
    pieces = Pieces(len(whole))
    assert [pieces.add(*part) for part in order] == [Fit.TAKEN] * len(parts)
    assert [pieces.add(*part) for part in copies] == [Fit.DUPLICATE] * len(copies)
    assert pieces.arrived == len(whole)
    assert pieces.join() == whole


@given(st.lists(st.tuples(st.integers(-2, 12), st.integers(0, 12)), max_size=40))
def test_pieces_never_overlap_and_never_exceed_the_size(offers: list[tuple[int, int]]) -> None:
    pieces, taken = Pieces(10), set[int]()
    spans = set[tuple[int, int]]()
    for offset, length in offers:
        span = set(range(offset, offset + length))
        fit = pieces.add(offset, bytes(length))
        if (offset, length) in spans:
            assert fit is Fit.DUPLICATE
        elif length and offset >= 0 and offset + length <= 10 and not span & taken:
            assert fit is Fit.TAKEN
            taken |= span
            spans.add((offset, length))
        else:
            assert fit is Fit.REFUSED
        assert pieces.arrived == len(taken) == len(pieces.join())


def test_at_the_bound_and_one_past_it() -> None:
    assert Pieces(5).add(0, bytes(5)) is Fit.TAKEN
    assert Pieces(5).add(0, bytes(6)) is Fit.REFUSED
    assert Pieces(5).add(4, bytes(1)) is Fit.TAKEN
    assert Pieces(5).add(4, bytes(2)) is Fit.REFUSED
    assert Pieces(5).add(5, b"") is Fit.REFUSED
