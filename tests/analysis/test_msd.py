"""Displacements of walks whose diffusion coefficient is known."""

import numpy as np
import pytest

from inscoper_mm.analysis.msd import diffusion_coefficient, drift_of, mean_squared_displacement
from inscoper_mm.errors import InvalidInput

STEP_S = 0.5


def walks(rng, count=200, frames=40, dimensions=2, coefficient=0.4, missing=0.0):
    """Rows of random walks (track, frame, place), in no order, some of them missing."""
    steps = rng.normal(0, np.sqrt(2 * coefficient * STEP_S), (count, frames, dimensions))
    places = np.cumsum(steps, axis=1).reshape(-1, dimensions)
    tracks = np.repeat(np.arange(count) * 3 + 5, frames)
    times = np.tile(np.arange(frames) + 7, count)
    kept = rng.permutation(len(tracks))
    kept = kept[rng.random(len(kept)) >= missing]
    return tracks[kept], times[kept], places[kept]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_coefficient_of_a_random_walk(dimensions, missing):
    rng = np.random.default_rng(dimensions)
    told = diffusion_coefficient(
        mean_squared_displacement(*walks(rng, dimensions=dimensions, missing=missing), STEP_S)
    )
    assert told.coefficient == pytest.approx(0.4, rel=0.08)
    assert abs(told.coefficient - 0.4) < 4 * told.error
    assert told.error < 0.05 * told.coefficient
    assert told.exponent == pytest.approx(1.0, abs=0.06)
    assert told.unit == "um²/s"


def test_the_error_is_that_of_many_films():
    rng = np.random.default_rng(0)
    told = [diffusion_coefficient(mean_squared_displacement(*walks(rng, 60, 20), STEP_S)) for _ in range(60)]
    spread = np.std([each.coefficient for each in told])
    assert np.mean([each.error for each in told]) == pytest.approx(spread, rel=0.3)


def test_uncertain_places_do_not_change_the_coefficient():
    rng = np.random.default_rng(1)
    tracks, frames, places = walks(rng, 400, 60)
    seen = places + rng.normal(0, 0.5, places.shape)
    told = diffusion_coefficient(mean_squared_displacement(tracks, frames, seen, STEP_S))
    assert told.coefficient == pytest.approx(0.4, rel=0.06)
    assert told.noise == pytest.approx(0.5, rel=0.1)


def test_straight_ways_exactly():
    frames = np.tile(np.arange(6), 2)
    places = np.column_stack([frames * np.repeat([3.0, 4.0], 6), np.zeros(12)])
    msd = mean_squared_displacement(np.repeat([1, 2], 6), frames, places, 2.0, lags=7, unit="px")
    lag = np.arange(1, 6)
    assert msd.squared[:5] == pytest.approx((9 + 16) / 2 * lag**2)
    assert np.isnan(msd.squared[5:]).all()
    assert msd.lag_s.tolist() == [2.0 * each for each in range(1, 8)]
    assert msd.pairs.tolist() == [10, 8, 6, 4, 2, 0, 0]
    told = diffusion_coefficient(msd)
    assert told.exponent == pytest.approx(2.0)
    assert told.unit == "px²/s"


def test_drift_is_removed():
    rng = np.random.default_rng(2)
    tracks, frames, places = walks(rng, 300, 30, missing=0.1)
    way = np.cumsum(rng.normal(0.5, 0.3, (50, 2)), axis=0)
    drifting = places + way[frames]
    told = diffusion_coefficient(mean_squared_displacement(tracks, frames, drifting, STEP_S))
    assert told.coefficient > 0.6
    removed = diffusion_coefficient(
        mean_squared_displacement(tracks, frames, drifting, STEP_S, remove_drift=True)
    )
    assert removed.coefficient == pytest.approx(0.4, rel=0.08)
    drift = drift_of(tracks, frames, drifting)
    at = [drift[frames == frame][0] for frame in range(7, 37)]
    assert np.abs(np.array(at) - (way[7:37] - way[7])).max() < 1


def test_too_little_to_tell():
    nothing = mean_squared_displacement([], [], np.zeros((0, 2)), 1.0)
    assert np.isnan(nothing.squared).all()
    assert np.isnan(diffusion_coefficient(nothing).coefficient)
    once = mean_squared_displacement([1, 2], [0, 0], np.zeros((2, 2)), 1.0)
    assert np.isnan(diffusion_coefficient(once).coefficient)
    assert drift_of([], [], np.zeros((0, 2))).shape == (0, 2)


def test_one_track():
    rng = np.random.default_rng(3)
    told = diffusion_coefficient(mean_squared_displacement(*walks(rng, 1, 2000), STEP_S))
    assert told.coefficient == pytest.approx(0.4, rel=0.3)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"track_id": [1, 1, 1]}, "positions"),
        ({"frame": [0]}, "frame"),
        ({"frame": [0, 0]}, "track_id"),
        ({"positions": [[0.0, np.nan], [0.0, 0.0]]}, "positions"),
        ({"positions": [0.0, 0.0]}, "positions"),
        ({"time_step_s": 0.0}, "time_step_s"),
    ],
)
def test_what_is_refused(change, parameter):
    right = {"track_id": [1, 1], "frame": [0, 1], "positions": np.zeros((2, 2)), "time_step_s": 1.0}
    with pytest.raises(InvalidInput) as wrong:
        mean_squared_displacement(**right | change)
    assert wrong.value.findings[0].parameter == parameter
