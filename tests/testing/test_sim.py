"""The command that runs the experiments."""

import pytest

from dna_dht.testing import sim
from dna_dht.testing.experiments import Share


def test_prints_one_line_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim.main(["closest", "--seeds", "3:5", "--scale", "0.02"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("closest_8_found 100.000% n=40 seeds=3..4")
    assert "ok" in lines[0]
    assert lines[1].startswith("closest.events_per_second")


def test_a_missed_target_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = sim.Experiment(lambda seed, scale: {"kept": Share(1, 2, 10, 0, ("seed 9: gone",))}, {"kept": 0.9})
    monkeypatch.setattr(sim, "EXPERIMENTS", {"lost": lost})
    assert sim.main(["--seeds", "9"]) == 1
    out = capsys.readouterr().out
    assert "NOT REACHED" in out
    assert "seed 9: gone" in out


def test_no_seed_is_begun_when_the_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    sim.main(["closest", "--seeds", "0:50", "--scale", "0.02", "--minutes", "0"])
    assert "n=20 seeds=0..0" in capsys.readouterr().out


def test_an_unknown_experiment_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sim.main(["clost"])
    assert ended.value.code == 2
    assert "unknown experiment clost" in capsys.readouterr().err
