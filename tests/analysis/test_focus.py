"""Focus: the peak of known curves, refusals, and stacks of a virtual specimen."""

import numpy as np
import pytest

from inscoper_mm.analysis.focus import METRICS, find_focus, focus_score
from inscoper_mm.analysis.focus_curve import parabola_top
from inscoper_mm.errors import InvalidInput

DEPTH_UM = 2.0  # the specimen's depth of field


def stack(render, seed, channel, focus_um, z_um, **parameters):
    return [
        render(seed, channel, z_um=float(z), x_um=float(number), focus_um=focus_um, **parameters)[0]
        for number, z in enumerate(z_um)
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_a_sharper_image_scores_more(field, metric):
    scores = [
        focus_score(field(seed=1, blur_px=blur_px, haze=5, peak=300).image, metric)
        for blur_px in (1, 2, 4, 8)
    ]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
@pytest.mark.parametrize("jump_depths", [-5.0, 5.0])
def test_a_stack_finds_the_focus_after_a_jump(render, channel, jump_depths):
    """After a jump of five depths of field, in a stack that covers it."""
    errors = {metric: [] for metric in METRICS}
    z_um = np.arange(-12, 12.1, 1.5)
    for seed in range(1, 4):
        true_um = jump_depths * DEPTH_UM + 0.13 * seed
        images = stack(render, seed, channel, true_um, z_um)
        for metric in METRICS:
            found = find_focus(images, z_um, metric)
            assert found.best_z_um is not None, found.reason
            errors[metric].append(abs(found.best_z_um - true_um) / DEPTH_UM)
    assert max(errors["tenengrad"]) <= 0.1
    assert max(max(values) for values in errors.values()) <= 0.25


def test_the_order_of_the_slices_does_not_matter(render):
    z_um = np.arange(-6, 6.1, 1.5)
    images = stack(render, 1, "DAPI", 1.0, z_um)
    forward = find_focus(images, z_um)
    shuffled = np.random.default_rng(0).permutation(z_um.size)
    assert find_focus([images[n] for n in shuffled], z_um[shuffled]) == forward
    assert list(forward.z_um) == z_um.tolist()
    assert len(forward.score) == z_um.size


@pytest.mark.parametrize(("focus_um", "side"), [(-20.0, "below"), (20.0, "above")])
def test_a_focus_outside_of_the_stack_is_not_given_but_its_side(render, focus_um, side):
    z_um = np.arange(-9, 9.1, 1.5)
    found = find_focus(stack(render, 1, "FITC", focus_um, z_um), z_um)
    assert found.best_z_um is None
    assert f"the focus lies {side} the stack" in found.reason


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
def test_a_field_without_cells_has_no_focus(render, channel):
    z_um = np.arange(-9, 9.1, 1.5)
    for seed in range(1, 5):
        found = find_focus(stack(render, seed, channel, 2.0, z_um, cells_per_mm2=0.0), z_um)
        assert found.best_z_um is None
        assert "flat within its noise" in found.reason


def test_noise_has_no_focus():
    random = np.random.default_rng(1)
    for slices in (3, 5, 9, 21):
        for _ in range(20):
            images = random.poisson(100, (slices, 64, 64))
            assert find_focus(images, np.arange(slices)).best_z_um is None


def test_one_cell_is_enough(field):
    z_um = np.arange(-4.0, 5.0)
    images = [
        field(
            seed=3,
            shape=(256, 256),
            count=1,
            diameter_px=40,
            blur_px=float(np.hypot(1.2, 1.5 * (z - 0.4))),
            haze=10,
        ).image
        for z in z_um
    ]
    assert find_focus(images, z_um).best_z_um == pytest.approx(0.4, abs=0.3)


@pytest.mark.parametrize(
    ("z_um", "reason"),
    [
        ([], "0 slices are too few"),
        ([0.0], "1 slices are too few"),
        ([0.0, 1.0], "2 slices are too few"),
        ([0.0, 1.0, 1.0, 2.0], "the focus drive did not move"),
    ],
)
def test_stacks_that_cannot_have_a_peak_are_refused(z_um, reason):
    images = np.random.default_rng(0).poisson(100, (len(z_um), 32, 32))
    found = find_focus(images, z_um)
    assert found.best_z_um is None
    assert reason in found.reason


@pytest.mark.parametrize(
    "z_um", [[-2, -1, 0, 1, 2], [-1.3, -0.4, 0.5, 1.9, 2.2], [10, 10.1, 13]], ids=["even", "uneven", "three"]
)
def test_the_parabola_is_exact_for_parabolas(z_um):
    z = np.array(z_um, float)
    true_um = float(z[1:-1].mean()) + 0.21
    scores = 50 - 3 * (z - true_um) ** 2
    peak = int(np.argmax(scores))
    assert parabola_top(z[peak - 1 : peak + 2], scores[peak - 1 : peak + 2]) == pytest.approx(true_um)


def test_equal_neighbours_put_the_peak_between_them():
    assert parabola_top(np.array([0.0, 1, 2]), np.array([1.0, 5, 5])) == pytest.approx(1.5)


def test_wrong_input_is_refused():
    image = np.zeros((32, 32))
    with pytest.raises(InvalidInput, match="Did you mean 'brenner'"):
        focus_score(image, "brener")
    with pytest.raises(InvalidInput, match="one height for each image"):
        find_focus([image], [0.0, 1.0])
    with pytest.raises(InvalidInput, match="not a grey image"):
        find_focus([np.zeros((32, 32, 3))] * 3, [0.0, 1.0, 2.0])
