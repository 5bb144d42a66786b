"""The simulated cells do what they are told, and the scores of their links have known values."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from inscoper_mm.testing.simulated_tracks import (
    SCENARIOS,
    Film,
    Frame,
    Walk,
    division_recall,
    found_edges,
    gap_recall,
    link_score,
    simulate,
    true_edges,
)


def film_of(*cells, parents=None):
    """A film of which only the cells' names matter."""
    frames = [
        Frame(np.zeros((len(each), 2)), np.ones(len(each)), np.array(each), np.zeros(2)) for each in cells
    ]
    return Film(frames, parents or {})


def test_the_same_seed_the_same_film():
    walk = replace(SCENARIOS["crowded"], cells=60, frames=6)
    one, two, other = simulate(walk, 3), simulate(walk, 3), simulate(walk, 4)
    assert all(
        np.array_equal(a.positions_px, b.positions_px) for a, b in zip(one.frames, two.frames, strict=True)
    )
    assert not np.array_equal(one.frames[0].positions_px[:20], other.frames[0].positions_px[:20])


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_the_scenarios_say(name):
    walk = replace(SCENARIOS[name], cells=800, frames=20, jump_chance=0.3)
    film = simulate(walk, 1)
    true = true_edges(film)
    seen = sum(int((frame.cells > 0).sum()) for frame in film.frames)
    false = sum(int((frame.cells == 0).sum()) for frame in film.frames)
    assert false / seen == pytest.approx(walk.false, abs=0.004)
    steps, gaps = [], 0
    for (t1, r1), (t2, r2) in true:
        before, after = film.frames[t1], film.frames[t2]
        gaps += t2 - t1 > 1
        if t2 - t1 == 1 and before.cells[r1] == after.cells[r2]:
            drift = after.drift_px - before.drift_px
            steps.append(np.linalg.norm(after.positions_px[r2] - before.positions_px[r1] - drift))
    # Cells that push each other go a little further; the places' noise adds.
    assert np.sqrt(np.mean(np.square(steps))) == pytest.approx(walk.step_px, rel=0.25)
    assert gaps / len(true) == pytest.approx(walk.misses, rel=0.35)
    assert len(film.parents) / 2 == pytest.approx(0.004 * 800 * 19, rel=0.4)
    spacing = cKDTree(film.frames[0].positions_px).query(film.frames[0].positions_px, k=2)[0][:, 1]
    assert 10 < np.median(spacing) < 24
    jumps = [
        np.linalg.norm(b.drift_px - a.drift_px) for a, b in zip(film.frames, film.frames[1:], strict=False)
    ]
    assert max(jumps) > 24 if walk.jump_px else max(jumps) == 0


def test_daughters_share_their_mothers_area():
    film = simulate(Walk(cells=300, frames=10, divisions=0.02, misses=0.0, false=0.0), 1)
    area = [dict(zip(frame.cells.tolist(), frame.areas_px, strict=True)) for frame in film.frames]
    ratios = []
    for mother in set(film.parents.values()):
        pair = [child for child, parent in film.parents.items() if parent == mother]
        born = next(number for number, names in enumerate(area) if pair[0] in names)
        if all(child in area[born] for child in pair) and mother in area[born - 1]:
            ratios.append(sum(area[born][child] for child in pair) / area[born - 1][mother])
    assert len(ratios) > 20
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)


def test_edges_of_the_truth():
    film = film_of([1, 2], [1, 0], [3, 4, 2], parents={3: 1, 4: 1})
    assert true_edges(film) == {
        ((0, 0), (1, 0)),
        ((0, 1), (2, 2)),
        ((1, 0), (2, 0)),
        ((1, 0), (2, 1)),
    }
    assert ((0, 1), (2, 2)) not in true_edges(film, memory=0)


def test_scores_of_known_mistakes():
    film = film_of([1, 2], [1, 0], [3, 4, 2], parents={3: 1, 4: 1})
    true = true_edges(film)
    right = found_edges([np.array([7, 8]), np.array([7, 9]), np.array([10, 11, 8])], {10: 7, 11: 7})
    assert right == true
    assert (link_score(true, right), gap_recall(true, right), division_recall(film, true, right)) == (1, 1, 1)
    # The false sight is linked, the gap not closed, one daughter goes on as her mother, the other is new.
    poor = found_edges([np.array([7, 8]), np.array([7, 8]), np.array([7, 11, 12])], {})
    assert link_score(true, poor) == pytest.approx(1 - (2 * 1.5 + 1) / (4 * 1.5))
    assert (gap_recall(true, poor), division_recall(film, true, poor)) == (0, 0.5)
    assert link_score(true, set()) == 0
