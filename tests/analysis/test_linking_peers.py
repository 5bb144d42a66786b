"""Links against those of laptrack and trackpy on the same places; they get places free of drift."""

import importlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from inscoper_mm.testing.simulated_tracks import SCENARIOS, link_score, simulate, true_edges

pytestmark = [
    pytest.mark.slow,  # the peers compile their code first
    pytest.mark.skipif(
        not (find_spec("laptrack") and find_spec("trackpy")),
        reason="the peers, of the extra bench, are missing",
    ),
    pytest.mark.filterwarnings("ignore"),  # of the peers, about themselves
]


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    return importlib.import_module("tracking_peers")


@pytest.mark.parametrize("cells", [100, 400])
@pytest.mark.parametrize("name", SCENARIOS)
def test_not_behind_the_best_of_them(peers, name, cells, record_property):
    """Places alone, as theirs; within 0.005 of the best of the three."""
    linkers = {
        "ours": lambda film: peers.ours(film, areas=False),
        "laptrack": lambda film: peers.laptrack(peers.without_drift(film)),
        "laptrack, divisions": lambda film: peers.laptrack(peers.without_drift(film), True),
        "trackpy": lambda film: peers.trackpy(peers.without_drift(film)),
    }
    scores = {name: [] for name in linkers}
    for seed in (21, 22):
        film = simulate(replace(SCENARIOS[name], cells=cells, frames=15, jump_chance=0.2), seed)
        true = true_edges(film)
        for linker, link in linkers.items():
            scores[linker].append(link_score(true, link(film).edges))
    lnk = {linker: float(np.mean(each)) for linker, each in scores.items()}
    record_property("lnk", {linker: round(each, 4) for linker, each in lnk.items()})
    assert lnk["ours"] >= max(lnk.values()) - 0.005
