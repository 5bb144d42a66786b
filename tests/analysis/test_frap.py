"""Recovery curves of known answers, and curves that say nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from inscoper_mm.analysis.frap import average, double_normalised, recovery_of
from inscoper_mm.analysis.frap_areas import brightness, frap_areas, outlined, part_of_cell, parts_of_cells
from inscoper_mm.analysis.recovery_fit import MODELS, Model, Recovery, fit_recovery
from inscoper_mm.analysis.regions import region_of, regions_of_labels
from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen.parameters import Bleaching
from inscoper_mm.testing.simulated_frap import FrapSeries, frap_series

TIMES = np.concatenate([np.arange(-5.0, 0.0), np.arange(0.5, 60.0)])
TRUE = Recovery(mobile_fraction=0.7, half_time_s=10.0, bleached=0.75)


def curve(recovery: Recovery, noise: float = 0.0, seed: int = 0) -> npt.NDArray[np.float64]:
    values = np.where(TIMES < 0, 1.0, recovery.at(np.maximum(TIMES, 0.0)))
    return values + np.random.default_rng(seed).normal(0.0, noise, len(TIMES))


# -- the fit


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", [1.0, 340.0])
def test_a_curve_without_noise_is_fitted_exactly(model: Model, scale: float) -> None:
    true = replace(TRUE, model=model)
    found = fit_recovery(TIMES, scale * curve(true), model)
    assert found.reason == ""
    assert found.mobile_fraction == pytest.approx(0.7, abs=1e-4)
    assert found.half_time_s == pytest.approx(10.0, rel=1e-3)
    assert found.bleached == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_after_a_half_time_half_of_the_recovery_is_done(model: Model) -> None:
    assert replace(TRUE, model=model).at([0.0, 10.0, 1e9]) == pytest.approx(
        [0.25, 0.25 + 0.5 * 0.7 * 0.75, 0.25 + 0.7 * 0.75], abs=1e-4
    )


def test_the_order_of_the_images_does_not_matter() -> None:
    shuffled = np.random.default_rng(1).permutation(len(TIMES))
    noisy = curve(TRUE, 0.02)
    assert fit_recovery(TIMES[shuffled], noisy[shuffled]).half_time_s == pytest.approx(
        fit_recovery(TIMES, noisy).half_time_s
    )


def test_images_before_the_fire_can_be_told_apart_from_their_times() -> None:
    before = TIMES < 0
    found = fit_recovery(np.where(before, 0.0, TIMES), curve(TRUE), before=before)
    assert found.mobile_fraction == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_the_standard_errors_are_those_that_are_made(noise: float) -> None:
    found = [fit_recovery(TIMES, curve(TRUE, noise, seed)) for seed in range(120)]
    assert not [each.reason for each in found if each.reason]
    for value, error, true in (
        ("mobile_fraction", "mobile_fraction_se", 0.7),
        ("half_time_s", "half_time_se_s", 10.0),
    ):
        deviations = [(getattr(each, value) - true) / getattr(each, error) for each in found]
        assert 0.8 < np.std(deviations) < 1.25
        assert abs(np.mean(deviations)) < 0.3


REFUSED: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], str]] = {
    "nothing bleached": (TIMES, curve(replace(TRUE, bleached=0.0), 0.02), "nothing was bleached"),
    "nothing bleached, no noise": (TIMES, np.ones_like(TIMES), "nothing was bleached"),
    "bleached within the noise": (TIMES, curve(replace(TRUE, bleached=0.12), 0.2), "nothing was bleached"),
    "brighter": (TIMES, curve(replace(TRUE, bleached=-0.5)), "nothing was bleached"),
    "no plateau": (TIMES, curve(replace(TRUE, half_time_s=60.0)), "no plateau.*about 60 s"),
    "far from a plateau": (TIMES, curve(replace(TRUE, half_time_s=5e4), 0.001), "no recovery|no plateau"),
    "immobile": (TIMES, curve(replace(TRUE, mobile_fraction=0.0), 0.01), "no recovery was seen"),
    "too few": (TIMES[:12], curve(TRUE)[:12], "too few images after the fire: 7"),
    "none before": (TIMES[5:], curve(TRUE)[5:], "no image before"),
    "too fast": (TIMES, curve(replace(TRUE, half_time_s=0.2)), "faster than the images|nothing was bleached"),
    "noise": (TIMES, curve(TRUE, 0.4), "nothing was bleached|noisy|no recovery"),
    "a cell that leaves": (
        TIMES,
        np.where(TIMES < 30, curve(TRUE), 0.1),
        "no recovery|does not follow|faster",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_says_nothing_is_refused(case: str) -> None:
    times, values, reason = REFUSED[case]
    found = fit_recovery(times, values)
    assert reason and pytest.importorskip("re").search(reason, found.reason), found
    assert found.mobile_fraction is found.half_time_s is found.bleached is None
    assert np.isnan(found.at([1.0])).all()


def test_noise_alone_is_never_a_recovery() -> None:
    random = np.random.default_rng(0)
    found = [fit_recovery(TIMES, 1 + random.normal(0, 0.05, len(TIMES))) for _ in range(200)]
    assert all("nothing was bleached" in each.reason for each in found)


def test_wrong_input_is_told() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'diffusion'"):
        fit_recovery(TIMES, curve(TRUE), "difusion")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="finite"):
        fit_recovery(TIMES, np.full_like(TIMES, np.nan))
    with pytest.raises(InvalidInput, match="equally long"):
        fit_recovery(TIMES, curve(TRUE)[1:])


def test_the_average_leaves_out_what_was_refused() -> None:
    good = [replace(TRUE, mobile_fraction=value) for value in (0.6, 0.8)]
    mean = average([*good, Recovery(reason="nothing was bleached")])
    assert mean["cells"] == 2
    assert mean["mobile_fraction"] == pytest.approx(0.7)
    assert mean["mobile_fraction_sem"] == pytest.approx(0.1)
    assert average([])["mobile_fraction"] is None
    assert average(good[:1])["half_time_sem_s"] is None


# -- the normalisation


def two_pools(lost: float = 0.3, fade: float = 0.01) -> tuple[npt.NDArray[np.float64], ...]:
    """A region of a third of a cell, all of it mobile: fired, cell and background, with offset and fading."""
    share, before = 1 / 3, TIMES < 0
    mean = 1 - lost * share
    fired = np.where(before, 1.0, mean + (1 - lost - mean) * 0.5 ** (TIMES / 10))
    whole = np.where(before, 1.0, mean)
    left = np.exp(-fade * (TIMES - TIMES[0]))
    return 100 + 400 * fired * left, 100 + 300 * whole * left, np.full(len(TIMES), 100.0)


def test_losses_by_imaging_and_by_the_fire_itself_are_taken_out() -> None:
    fired, cell, background = two_pools()
    found = fit_recovery(TIMES, double_normalised(fired, cell, background, TIMES < 0))
    assert found.mobile_fraction == pytest.approx(1.0, abs=1e-3)
    assert found.half_time_s == pytest.approx(10.0, rel=1e-2)
    # Without it, all that moves seems to be less.
    plain = fit_recovery(TIMES, fired - background)
    assert plain.reason or plain.mobile_fraction < 0.8


def test_a_cell_that_is_bleached_almost_wholly_is_refused() -> None:
    fired, cell, background = two_pools(fade=0.0)
    measured = {"fired": fired, "cell": cell, "background": background, "fired_background": background}
    assert recovery_of(TIMES, measured, TIMES < 0)[1].reason == ""
    measured["cell"] = np.where(TIMES < 0, cell, 100 + 0.2 * (cell - 100))
    measured["fired"] = np.where(TIMES < 0, fired, 100 + 0.2 * (fired - 100))
    assert "only 18 % of the cell's light" in recovery_of(TIMES, measured, TIMES < 0)[1].reason


def test_curves_that_cannot_be_normalised_are_told() -> None:
    fired, cell, background = two_pools()
    with pytest.raises(InvalidInput, match="no image before"):
        double_normalised(fired, cell, background, np.zeros(len(TIMES), bool))
    with pytest.raises(InvalidInput, match="not brighter than the background"):
        double_normalised(fired, cell, cell + 1, TIMES < 0)
    with pytest.raises(InvalidInput, match="equally long"):
        double_normalised(fired, cell[1:], background, TIMES < 0)


# -- where is measured


def discs(*centres: tuple[int, int], radius: float = 12) -> npt.NDArray[np.int32]:
    rows, cols = np.mgrid[:120, :120]
    labels = np.zeros((120, 120), np.int32)
    for label, (row, col) in enumerate(centres, start=1):
        labels[np.hypot(rows - row, cols - col) <= radius] = label
    return labels


def test_the_areas_do_not_mix() -> None:
    labels = discs((40, 40), (40, 70), (90, 60))
    regions = [
        region_of({"type": "circle", "points": [[row, 40 if row == 40 else 60]], "radius": 4})
        for row in (90, 40)
    ]
    areas = frap_areas(regions, labels)
    assert areas.count == 2
    assert np.array_equal(areas.fired == 1, regions[0].mask(labels.shape))
    # Region 1 lies on cell 3, and that cell counts with its margin.
    assert (areas.cell[labels == 3] == 1).all() and np.count_nonzero(areas.cell == 1) > np.count_nonzero(
        labels == 3
    )
    assert (areas.cell[areas.fired > 0] == areas.fired[areas.fired > 0]).all()
    near = np.argwhere(labels > 0)
    for number in (1, 2):
        ring = np.argwhere(areas.background == number)
        gaps = np.hypot(*(ring[:, None] - near[None]).transpose(2, 0, 1)).min(axis=1)
        assert len(ring) > 100 and gaps.min() > 5 and gaps.max() <= 13.5


def test_brightness_is_that_of_the_pixels() -> None:
    labels = discs((60, 60))
    region = region_of({"type": "circle", "points": [[60, 60]], "radius": 5})
    areas = frap_areas([region], labels)
    image = np.full(labels.shape, 10.0)
    image[areas.cell > 0] = 50
    image[areas.fired > 0] = 20
    found = {name: value.round(9) for name, value in brightness(image, areas).items()}
    share = np.count_nonzero(areas.fired) / np.count_nonzero(areas.cell)
    assert {name: value.tolist() for name, value in found.items()} == {
        "fired": [20.0],
        "rest": [50.0],
        "cell": [pytest.approx(50 - 30 * share)],
        "background": [10.0],
        "fired_background": [10.0],
    }


def test_outlines_are_the_outermost_pixels() -> None:
    labels = discs((60, 60))
    areas = frap_areas([region_of({"type": "rectangle", "points": [[58, 57], [62, 61]]})], labels)
    image = np.arange(labels.size, dtype=np.uint16).reshape(labels.shape)
    changed = outlined(image, areas) != image
    assert outlined(image, areas).dtype == image.dtype
    assert np.count_nonzero(changed[58:63, 57:62]) == 16 and not changed[59:62, 58:61].any()
    assert not changed[areas.cell == 0].any() and changed[:50].any()


def test_the_background_may_be_uneven() -> None:
    labels = discs((60, 60), (60, 95))
    region = region_of({"type": "circle", "points": [[53, 58]], "radius": 3})
    areas = frap_areas([region], labels)
    rows, cols = np.mgrid[:120, :120]
    found = brightness(7.0 + 0.5 * rows - 0.25 * cols + 1000.0 * (labels > 0), areas)
    assert found["fired_background"][0] == pytest.approx(7 + 0.5 * 53 - 0.25 * 58, abs=1e-6)
    assert found["background"][0] == pytest.approx(7 + 0.5 * 60 - 0.25 * 60, abs=0.3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[[60, 60]]] * 2, "same cell"),
        ([[[20, 20]]], "on no cell"),
        ([[[1, 60]]], "outside the image"),
    ],
)
def test_regions_that_cannot_be_measured_are_refused(points: list[list[list[float]]], message: str) -> None:
    regions = [region_of({"type": "circle", "points": each, "radius": 4}) for each in points]
    with pytest.raises(InvalidInput, match=message):
        frap_areas(regions, discs((60, 60)))


def test_a_cell_without_background_around_it_is_refused() -> None:
    labels = np.repeat(np.repeat(np.arange(1, 10).reshape(3, 3), 40, axis=0), 40, axis=1)
    with pytest.raises(InvalidInput, match="no background"):
        frap_areas([region_of({"type": "circle", "points": [[60, 60]], "radius": 4})], labels)


def test_parts_of_a_cell() -> None:
    (cell,) = regions_of_labels(discs((60, 60), radius=20)).values()
    spot, half, rim = (part_of_cell(cell, part, 6.0) for part in ("spot", "half", "rim"))
    assert spot.rois()[0]["type"] == "circle" and spot.rois()[0]["radius"] == 3.0
    assert half.area_px == pytest.approx(cell.area_px / 2, rel=0.05) and half.bounds[2] == pytest.approx(
        60, abs=1
    )
    assert rim.area_px == pytest.approx(cell.area_px * (1 - (14 / 20) ** 2), rel=0.05)
    for part in (spot, half, rim):
        assert (part - cell).area_px < 1e-6
    # A spot that is larger than the cell is the cell.
    assert part_of_cell(cell, "spot", 200.0).area_px == pytest.approx(cell.area_px)
    with pytest.raises(InvalidInput, match="nothing is left"):
        part_of_cell(cell, "rim", 0.0)


def test_cells_nearest_to_the_middle_come_first() -> None:
    labels = discs((20, 20), (62, 58), (95, 90))
    regions = parts_of_cells(labels, 2, "spot", 4.0)
    assert [np.round(region.centre).tolist() for region in regions] == [[62, 58], [95, 90]]
    with pytest.raises(InvalidInput, match="no single cell"):
        parts_of_cells(np.zeros((50, 50), np.int32), 1, "spot", 4.0)


# -- the specimen's answer


def recoveries(series: FrapSeries) -> list[Recovery]:
    areas = frap_areas(series.regions, series.labels)
    measured = [brightness(image, areas) for image in series.images]
    before = series.time_s < 0
    found = []
    for number in range(areas.count):
        own = {name: [each[name][number] for each in measured] for name in measured[0]}
        found.append(recovery_of(series.time_s, own, before)[1])
    return found


def error(found: list[Recovery], bleaching: Bleaching) -> tuple[float, float]:
    """Largest relative error of mobile fraction and half-time."""
    assert not [each.reason for each in found if each.reason]
    mobile = [each.mobile_fraction / bleaching.mobile_fraction - 1 for each in found]
    half_time = [each.half_time_s / bleaching.half_time_s - 1 for each in found]
    return float(np.abs(mobile).max()), float(np.abs(half_time).max())


SLOW_IMAGES = (1, 2, 3, 4, 5, 7, 9, 12, 15, 18, 22, 26, 30, 36, 42, 50)


def test_every_cell_without_noise_is_within_5_percent() -> None:
    bleaching = Bleaching(per_ms=0.3, mobile_fraction=0.7, half_time_s=8.0)
    found = recoveries(frap_series(1, bleaching, cells=4, after_s=SLOW_IMAGES))
    assert len(found) == 4
    assert max(error(found, bleaching)) < 0.05


def test_without_a_fire_there_is_no_recovery() -> None:
    bleaching = Bleaching(per_ms=0.3, imaging_per_ms=5e-4)
    found = recoveries(frap_series(1, bleaching, 200.0, cells=4, after_s=SLOW_IMAGES, fire=False))
    assert all("nothing was bleached" in each.reason for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["spot", "half", "rim"])
@pytest.mark.parametrize(("mobile", "half_time_s"), [(0.7, 10.0), (0.3, 5.0), (1.0, 10.0)])
@pytest.mark.parametrize(("photons", "most"), [(None, 0.05), (200.0, 0.10)])
def test_ten_cells_are_within_the_bounds(
    part: str, mobile: float, half_time_s: float, photons: float | None, most: float
) -> None:
    bleaching = Bleaching(per_ms=0.3, mobile_fraction=mobile, half_time_s=half_time_s, imaging_per_ms=2e-4)
    found = recoveries(frap_series(1, bleaching, photons, part=part))  # type: ignore[arg-type]
    assert len(found) >= 9
    # The rim of a small cell is most of it.
    assert all("of the cell's light" in each.reason for each in found if each.reason)
    mean = average(found)
    assert mean["cells"] >= (9 if part == "rim" else len(found))
    assert mean["mobile_fraction"] == pytest.approx(mobile, rel=most)
    assert mean["half_time_s"] == pytest.approx(half_time_s, rel=most)
