"""The focus of stacks computed from wave optics, with known answers, and of real stacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.analysis.focus import METRICS, Focus, FocusStack, find_focus, focus_score, focus_scores
from inscoper_mm.analysis.focus_metrics import region_of_text
from inscoper_mm.errors import InvalidInput
from inscoper_mm.testing.simulated_stacks import FLUORESCENT, Optics, Slide

DEPTH_UM = Optics().depth_of_field_um
SLICES = 21
Z_UM = (np.arange(SLICES) - SLICES // 2) * 0.5 * DEPTH_UM
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "focus"


def slide(name: str, photons: float, number: int, **changes: float) -> Slide:
    """A slide with its focus somewhere in the middle of the stack, between two slices."""
    place = np.random.default_rng([number, 5]).uniform(-2, 2)
    return replace(Slide(name, 100 + number, photons, place * DEPTH_UM), **changes)


def error_depths(at: Slide, found: Focus) -> float:
    """Distance from the true focus in depths of field; infinite where none was given."""
    return np.inf if found.best_z_um is None else abs(found.best_z_um - at.focus_um) / DEPTH_UM


def errors(photons: Sequence[float], each: int) -> np.ndarray:
    slides = [
        slide(name, light, number) for light in photons for name in FLUORESCENT for number in range(each)
    ]
    return np.array([error_depths(at, find_focus(at.take(Z_UM), Z_UM)) for at in slides])


def test_light_stacks_are_exact_and_dim_ones_rarely_wrong() -> None:
    assert np.median(light := errors((100, 20), 1)) <= 0.015
    assert light.max() <= 0.1
    assert np.count_nonzero(errors((4,), 1) > 1) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_light_and_dim_stacks() -> None:
    light = errors((1000, 100, 20), 4)
    assert np.median(light) <= 0.01
    assert light.max() <= 0.1
    dim = errors((10, 4, 2), 6)
    assert np.mean(dim <= 1) >= 0.93
    # What was not refused was not wrong.
    assert np.mean(dim[np.isfinite(dim)] <= 1) >= 0.98


def test_bleaching_does_not_shift_the_peak() -> None:
    at = slide("nuclei", 1000, 3, bleaching=0.02)
    assert error_depths(at, find_focus(at.take(Z_UM), Z_UM)) <= 0.015
    # From the top down, the same.
    down = at.take(Z_UM[::-1])
    assert error_depths(at, find_focus(down, Z_UM[::-1])) <= 0.015


@cache
def filaments() -> list[np.ndarray]:
    return slide("filaments", 1000, 1).take(Z_UM)


@pytest.mark.parametrize("metric", METRICS)
def test_every_measure_finds_a_well_lit_focus(metric: str) -> None:
    at = slide("filaments", 1000, 1)
    assert error_depths(at, find_focus(filaments(), Z_UM, metric)) <= 0.25


@pytest.mark.parametrize(("photons", "number"), [(100, 1), (20, 2)])
def test_a_phase_object_is_focused_where_it_is_hardly_seen(photons: float, number: int) -> None:
    at = slide("brightfield", photons, number, size_px=128)
    images = at.take(Z_UM)
    assert error_depths(at, find_focus(images, Z_UM, objects="phase")) <= 0.1
    # Undeclared, the sharpest slices are those beside the focus.
    assert not error_depths(at, find_focus(images, Z_UM)) <= 0.5


def test_a_fluorescent_stack_is_no_phase_object() -> None:
    at = slide("puncta", 100, 1)
    found = find_focus(at.take(Z_UM), Z_UM, objects="phase")
    assert found.best_z_um is None
    assert "no phase objects" in str(found.reason)
    few = find_focus(at.take(Z_UM[:5]), Z_UM[:5], objects="phase")
    assert "at least 7 slices" in str(few.reason)


@pytest.mark.parametrize(("focus_depths", "side"), [(-9.0, "below"), (9.0, "above")])
def test_a_focus_outside_has_a_side(focus_depths: float, side: str) -> None:
    at = replace(slide("nuclei", 100, 1), focus_um=focus_depths * DEPTH_UM)
    found = find_focus(at.take(Z_UM), Z_UM)
    assert found.best_z_um is None
    assert found.side == side


def test_the_second_slice_can_be_the_sharpest_and_the_first_cannot() -> None:
    second = replace(slide("filaments", 200, 1), focus_um=float(Z_UM[1]) + 0.05)
    assert error_depths(second, find_focus(second.take(Z_UM), Z_UM)) <= 0.1
    first = replace(second, focus_um=float(Z_UM[0]) - 0.05)
    assert find_focus(first.take(Z_UM), Z_UM).side == "below"


def test_slice_by_slice_is_the_same_as_all_at_once() -> None:
    at = slide("one_cell", 20, 2)
    images = at.take(Z_UM)
    stack = FocusStack()
    scores = [stack.add(image, z) for image, z in zip(images, Z_UM, strict=True)]
    assert stack.result() == find_focus(images, Z_UM)
    assert tuple(scores) == stack.result().score
    assert "too few" in str(FocusStack().result().reason)


def test_only_the_region_counts() -> None:
    sharp, other = slide("filaments", 200, 1), slide("filaments", 200, 2)
    images = [np.hstack(pair) for pair in zip(sharp.take(Z_UM), other.take(Z_UM), strict=True)]
    for at, region in ((sharp, (0, 0, 256, 250)), (other, (0, 262, 256, 512))):
        assert error_depths(at, find_focus(images, Z_UM, region=region)) <= 0.02
    with pytest.raises(InvalidInput, match="not a part of the image"):
        find_focus(images, Z_UM, region=(0, 500, 256, 600))


def test_all_measures_of_one_image_at_once() -> None:
    image = slide("nuclei", 100, 1).take([0.0])[0]
    scores = focus_scores(image)
    assert scores == {metric: pytest.approx(focus_score(image, metric)) for metric in METRICS}


def test_a_lamp_that_flickers_over_an_empty_field_makes_no_focus() -> None:
    """Uneven light is seen as structure; it must not peak where the lamp is a little brighter."""
    random = np.random.default_rng(3)
    rows, cols = np.indices((256, 256)) / 128 - 1
    light = 200 * (1 - 0.3 * (rows**2 + cols**2))
    lamp = 1 + 0.01 * np.exp(-0.5 * ((np.arange(SLICES) - 9) / 2) ** 2)
    images = [random.poisson(light * factor) + 100 for factor in lamp]
    assert find_focus(images, Z_UM).best_z_um is None


def real(name: str) -> np.ndarray:
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"the folder of real data, {DATA.name}, is not beside the checkout")
    return tifffile.imread(file)


def test_real_mitochondria_are_focused_to_a_fifth_of_a_micrometre() -> None:
    """K. Kuang's lab, DFNN: 34 slices 0.05 um apart, in focus at number 51; the first one is 32."""
    stack = real("dfnn_mitochondria/stack.tif")
    z_um = (51 - np.arange(32, 32 + len(stack))) * 0.05
    assert find_focus(list(stack), z_um).best_z_um == pytest.approx(0.0, abs=0.2)


def test_real_beads_are_focused_at_a_plausible_slice() -> None:
    stack = real("beads/Bead_Image1_crop.tif")
    found = find_focus(list(stack), np.arange(len(stack)))
    assert found.best_z_um is not None
    assert 22 <= found.best_z_um <= 26


@pytest.mark.parametrize(
    ("text", "region"),
    [("", None), ("  ", None), ("0, 10, 100,200", (0, 10, 100, 200)), ("1,1,512,512", (1, 1, 512, 512))],
)
def test_a_region_is_read_from_text(text: str, region: tuple[int, ...] | None) -> None:
    assert region_of_text(text, (512, 512)) == region


@pytest.mark.parametrize(
    "text", ["1, 2, 3", "a, b, c, d", "0, 0, 900, 900", "10, 0, 10, 20", "-1, 0, 5, 5", "1.5,0,9,9"]
)
def test_a_wrong_region_is_told_by_its_parameter(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"region_px.*512 rows and 512 columns"):
        region_of_text(text, (512, 512))
