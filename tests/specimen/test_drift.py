"""Drift, the specimen's time and the shutter: what an image shows against what the truth says."""

from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import (
    Bleaching,
    Camera,
    Drift,
    Jump,
    Motion,
    Specimen,
    SpecimenParameters,
    Time,
    View,
)

PLAIN = {"haze": 0.0, "falloff": 0.0}
FITC = View(0, 0, 0, "FITC", 20, sensor=(256, 256))


def test_an_image_is_seen_at_the_time_that_its_number_says():
    specimen = Specimen(
        SpecimenParameters(time=Time(per_image_s=30.0), drift=Drift(x_um_per_s=0.1, y_um_per_s=-0.05))
    )
    seen = []
    for _ in range(4):
        truth = specimen.truth(FITC)
        seen.append((truth.time_s, *truth.drift_um))
        specimen.render(FITC)
    assert seen == [(30.0 * n, pytest.approx(3.0 * n), pytest.approx(-1.5 * n), 0.0) for n in range(4)]
    # After the last image, it is still that image's time.
    assert specimen.now_s() == pytest.approx(90.0)


def test_the_image_moves_as_the_truth_says(centroid):
    parameters = SpecimenParameters(
        touching_fraction=0.0,
        cells_per_mm2=100,
        time=Time(10.0),
        drift=Drift(x_um_per_s=0.037, y_um_per_s=-0.02),
        **PLAIN,
    )
    specimen = Specimen(parameters)
    first = specimen.truth(replace(FITC, image=0))
    cell = max((cell for cell in first.cells if cell.whole), key=lambda each: each.gap_um)
    before = centroid(specimen.light(FITC, 0), cell.row_px, cell.col_px, 18)
    for image in (1, 3, 9):
        dx_um, dy_um, _ = specimen.truth(replace(FITC, image=image)).drift_um
        assert (dx_um, dy_um) == pytest.approx((0.37 * image, -0.2 * image))
        wanted = before[0] + dy_um, before[1] + dx_um
        assert centroid(specimen.light(FITC, image), *wanted, 18) == pytest.approx(wanted, abs=0.002)


def test_the_focus_drifts():
    specimen = Specimen(SpecimenParameters(focus_um=3.0, time=Time(60.0), drift=Drift(z_um_per_s=0.01)))
    for image in range(3):
        truth = specimen.truth(FITC)
        assert truth.focus_um == specimen.focus_um == pytest.approx(3.0 + 0.6 * image)
        sharp = specimen.light(replace(FITC, z_um=truth.focus_um))
        away = specimen.light(replace(FITC, z_um=truth.focus_um + 1.0))
        assert sharp.std() > away.std()
        specimen.render(FITC)


@pytest.mark.parametrize("every", [1, 5])
def test_random_steps_have_any_size_up_to_the_largest(every):
    drift = Drift(random_um=(2.0, 0.0, 0.5), every_images=every)
    specimen = Specimen(SpecimenParameters(seed=4, drift=drift))
    places = np.array([specimen.displacement_um(image) for image in range(1000 * every)])
    steps = np.diff(places, axis=0)
    # Between images of the same group nothing moves.
    assert not np.delete(steps, np.s_[every - 1 :: every], axis=0).any()
    taken = steps[every - 1 :: every]
    assert not taken[:, 1].any()
    for axis, most in ((0, 2.0), (2, 0.5)):
        assert np.abs(taken[:, axis]).max() <= most
        # Uniform: standard deviation most / sqrt(3), to within three of its errors.
        assert taken[:, axis].std() == pytest.approx(most / np.sqrt(3), rel=0.05)
        assert abs(taken[:, axis].mean()) < 3 * most / np.sqrt(3 * len(taken))
    again = Specimen(specimen.parameters)
    assert again.displacement_um(700) == specimen.displacement_um(700)
    assert Specimen(replace(specimen.parameters, seed=5)).displacement_um(700) != specimen.displacement_um(
        700
    )


def test_by_a_clock_drift_goes_on_between_images():
    now = [100.0]
    specimen = Specimen(
        SpecimenParameters(drift=Drift(x_um_per_s=0.5), jumps=(Jump(1, dx_um=1.0),)), lambda: now[0]
    )
    assert specimen.displacement_um()[0] == pytest.approx(0.0)
    now[0] = 104.0
    assert specimen.displacement_um()[0] == pytest.approx(2.0)
    specimen.render(FITC)
    assert specimen.displacement_um()[0] == pytest.approx(3.0)
    # An image that was taken stays as it was.
    assert specimen.displacement_um(0, 1.0)[0] == pytest.approx(0.5)


def test_the_same_exposures_give_the_same_images_whatever_the_clock():
    def run(clock):
        parameters = SpecimenParameters(
            time=Time(20.0),
            drift=Drift(x_um_per_s=0.01, random_um=(1.0, 1.0, 0.5)),
            motion=Motion(moving_fraction=0.3),
            bleaching=Bleaching(imaging_per_ms=0.001),
        )
        specimen = Specimen(parameters, clock)
        images = []
        for _ in range(4):
            image = specimen.next_image()
            images.append(specimen.render(replace(FITC, image=image)))
            specimen.expose(replace(FITC, image=image))
        return images

    times = iter(np.cumsum(np.random.default_rng(0).uniform(0, 9, 1000)).tolist())
    np.testing.assert_array_equal(run(lambda: 0.0), run(lambda: next(times)))


def test_a_fire_between_two_images_falls_at_the_time_of_the_first():
    parameters = SpecimenParameters(
        time=Time(8.0),
        touching_fraction=0.0,
        bleaching=Bleaching(mobile_fraction=1.0, half_time_s=8.0),
        **PLAIN,
    )
    specimen = Specimen(parameters)
    cell = max(specimen.truth(FITC).cells, key=lambda each: each.gap_um * each.whole)
    row, col = round(cell.row_px), round(cell.col_px)
    seen = [specimen.light(FITC, specimen.next_image())[row, col]]
    specimen.shine(FITC, row, col, 20.0)
    seen += [specimen.light(FITC, specimen.next_image())[row, col] for _ in range(20)]
    right_after = specimen.light(FITC.at(specimen.parameters.time.per_image_s * 0 + 1e-9), 0)[row, col]
    # The first image after it sees one half-time of recovery, the second two.
    assert (seen[1] - right_after) / (seen[-1] - right_after) == pytest.approx(0.5, abs=0.01)
    assert (seen[2] - right_after) / (seen[-1] - right_after) == pytest.approx(0.75, abs=0.01)
    assert right_after < 0.5 * seen[0]


@pytest.mark.parametrize(
    ("parameters", "view"),
    [
        pytest.param(SpecimenParameters(), replace(FITC, lit=False), id="closed"),
        pytest.param(SpecimenParameters(shutter_fails_after=0), FITC, id="broken"),
    ],
)
@pytest.mark.parametrize("binning", [1, 2])
def test_a_dark_image_has_nothing_but_offset_and_read_noise(parameters, view, binning):
    image = Specimen(parameters).render(replace(view, binning=binning)).astype(float)
    # 2 grey values an electron, offset 100; 65,536 pixels, rounded to whole grey values.
    assert image.mean() == pytest.approx(100.0, abs=0.1)
    assert image.std() == pytest.approx(np.hypot(2 * 2.5 * binning, np.sqrt(1 / 12)), rel=0.015)


def test_the_shutter_fails_after_so_many_images():
    specimen = Specimen(SpecimenParameters(shutter_fails_after=2, bleaching=Bleaching(imaging_per_ms=0.01)))
    means, left = [], []
    for _ in range(4):
        view = replace(FITC, image=specimen.next_image())
        means.append(specimen.render(view).mean())
        specimen.expose(view)
        left.append(specimen.truth(FITC).cells[5].remaining)
    assert [mean > 150 for mean in means] == [True, True, False, False]
    # In the dark nothing bleaches.
    assert left == pytest.approx([np.exp(-0.2), np.exp(-0.4), np.exp(-0.4), np.exp(-0.4)])


def test_a_camera_without_noise_shows_the_expectation():
    noisy, clean = (Specimen(SpecimenParameters(camera=Camera(noise=noise))) for noise in (1.0, 0.0))
    image = clean.render(replace(FITC, image=0))
    np.testing.assert_allclose(image, clean.light(FITC, 0) * 2 + 100, atol=0.501)
    np.testing.assert_array_equal(image, clean.render(replace(FITC, image=1)))
    assert (noisy.render(replace(FITC, image=0)) != image).mean() > 0.9


@pytest.mark.parametrize(
    ("mapping", "field", "told"),
    [
        pytest.param({"time": {"per_image": 3}}, "time.per_image", "'per_image_s'", id="time"),
        pytest.param({"time": {"per_image_s": -1}}, "time.per_image_s", "0 to", id="backwards"),
        pytest.param({"drift": {"x_um": 3}}, "drift.x_um", "x_um_per_s, ", id="drift"),
        pytest.param({"drift": {"random_um": 3}}, "drift.random_um", "a list of 3", id="no list"),
        pytest.param({"drift": {"random_um": [1, -1, 0]}}, "drift.random_um[1]", "0 to 1000", id="negative"),
        pytest.param({"drift": {"every_images": 0}}, "drift.every_images", "1 to", id="never"),
        pytest.param({"motion": {"moving_fraction": 1.1}}, "motion.moving_fraction", "0 to 1", id="fraction"),
        pytest.param({"motion": {"speed": 1}}, "motion.speed", "speed_um_per_min", id="motion"),
        pytest.param({"camera": {"noise": -1}}, "camera.noise", "0 to 100", id="noise"),
        pytest.param({"shutter_fails_after": 1.5}, "shutter_fails_after", "whole number", id="shutter"),
    ],
)
def test_what_is_wrong_is_told(mapping, field, told):
    with pytest.raises(InvalidInput) as caught:
        SpecimenParameters.from_mapping(mapping)
    (finding,) = caught.value.findings
    assert finding.field == f"microscope.specimen.{field}"
    assert told in str(finding)
