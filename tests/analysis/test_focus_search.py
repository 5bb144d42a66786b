"""The search for the focus with few exposures: on computed images, where nothing is seen, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest

from inscoper_mm.analysis.focus_look import Seen, look
from inscoper_mm.analysis.focus_search import Advice, FocusSearch
from inscoper_mm.testing.simulated_stacks import FLUORESCENT, Optics, Slide, Viewer

DEPTH_UM = Optics().depth_of_field_um
Take = Callable[[float], npt.NDArray[np.uint16]]


def search(
    take: Take, start_um: float, limits_um: tuple[float, float], **how: object
) -> tuple[Advice, list[Seen]]:
    """The end of a search, and what was seen on the way."""
    goal = FocusSearch(start_um, DEPTH_UM, limits_um, **how)  # type: ignore[arg-type]
    seen: list[Seen] = []
    while (advice := goal.advise(seen)).next_z_um is not None:
        assert limits_um[0] <= advice.next_z_um <= limits_um[1]
        seen.append(look(take(advice.next_z_um), advice.next_z_um))
        assert len(seen) <= goal.most_exposures
    return advice, seen


def search_slide(
    name: str, photons: float, seed: int, away_depths: float, **how: object
) -> tuple[float, int]:
    """Error in depths of field (infinite where refused) and exposures, from so far away."""
    start_um = (away_depths + np.random.default_rng(seed).uniform(-0.5, 0.5)) * DEPTH_UM
    limits_um = start_um - 20 * DEPTH_UM, start_um + 20 * DEPTH_UM
    advice, seen = search(Viewer(Slide(name, seed, photons)).take, start_um, limits_um, **how)
    error = np.inf if advice.best_z_um is None else abs(advice.best_z_um) / DEPTH_UM
    return error, len(seen)


@pytest.mark.parametrize(
    ("name", "away"), [("nuclei", -10), ("filaments", 10), ("puncta", -10), ("one_cell", 10)]
)
def test_ten_depths_of_field_away_the_focus_is_found_with_few_exposures(name: str, away: float) -> None:
    error, exposures = search_slide(name, 100, 1, away)
    assert error <= 0.1
    assert exposures <= 9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_searches_from_far_away() -> None:
    runs = [
        search_slide(name, photons, seed, away)
        for name in FLUORESCENT
        for photons in (1000, 100, 20)
        for seed in range(5)
        for away in (-10, 10)
    ]
    errors, exposures = (np.array(column) for column in zip(*runs, strict=True))
    assert np.median(exposures) <= 9
    assert np.mean(errors <= 0.1) >= 0.9
    # What is given is the focus: wrong by a depth of field is worse than refused.
    assert np.all((errors <= 0.5) | np.isinf(errors))


def test_near_the_focus_a_search_is_short() -> None:
    error, exposures = search_slide("filaments", 100, 1, 0.3, near=True)
    assert error <= 0.1
    assert exposures <= 5


@pytest.mark.parametrize(("away", "side"), [(-30.0, "above"), (30.0, "below")])
def test_a_focus_outside_of_the_limits_is_refused_with_its_side(away: float, side: str) -> None:
    start_um = away * DEPTH_UM
    limits_um = start_um - 20 * DEPTH_UM, start_um + 20 * DEPTH_UM
    advice, _ = search(Viewer(Slide("nuclei", 1, 100)).take, start_um, limits_um)
    assert advice.best_z_um is None
    assert advice.side == side


@pytest.mark.parametrize("limits_um", [(-20.0, 20.0), (0.0, 3.0), (-0.1, 0.1)])
def test_noise_alone_is_refused_and_the_search_ends(limits_um: tuple[float, float]) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        advice, seen = search(
            lambda z, r=random: r.poisson(200, (128, 128)).astype(np.uint16), 0.0, limits_um
        )  # type: ignore[misc]
        assert advice.best_z_um is None
        assert "nothing sharp in the range" in str(advice.reason)
        heights = [each.z_um for each in seen]
        assert min(heights) == limits_um[0]
        assert max(heights) == limits_um[1]


def test_a_noisy_curve_without_sense_ends_with_the_largest_number_of_exposures() -> None:
    """Whatever comes, no search goes on for ever or leaves its limits."""
    for seed in range(20):
        random = np.random.default_rng(seed)

        def nonsense(z_um: float, random: np.random.Generator = random) -> npt.NDArray[np.uint16]:
            image = random.poisson(100, (64, 64)).astype(np.uint16)
            for row, col in random.integers(0, 60, (int(random.integers(0, 40)), 2)):
                image[row : row + 3, col : col + 3] += 200
            return image

        advice, seen = search(nonsense, 0.0, (-30.0, 30.0), most_exposures=12)
        assert len(seen) <= 12
        assert (advice.best_z_um is None) == (advice.reason is not None)


def test_a_light_that_changes_its_strength_does_not_lead_astray() -> None:
    viewer = Viewer(Slide("filaments", 1, 2000))

    def lamp(z_um: float) -> npt.NDArray[np.uint16]:
        return (viewer.take(z_um) * (1 + abs(z_um) / 10)).astype(np.uint16)

    advice, _ = search(lamp, 6 * DEPTH_UM, (-20.0, 20.0))
    assert advice.best_z_um == pytest.approx(0.0, abs=0.15 * DEPTH_UM)


def test_what_was_seen_survives_as_json() -> None:
    take = Viewer(Slide("nuclei", 1, 100)).take
    seen = [look(take(z), z) for z in (0.0, 4.0, -4.0)]
    goal = FocusSearch(0.0, DEPTH_UM, (-20.0, 20.0))
    kept = [Seen(**each) for each in json.loads(json.dumps([asdict(each) for each in seen]))]
    assert goal.advise(kept) == goal.advise(seen)
    assert goal.advise(seen[::-1]) == goal.advise(seen)
