"""What the camera sees: places, blur, light, noise, grey values."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from inscoper_mm.specimen import Jump, Specimen, SpecimenParameters, View
from inscoper_mm.specimen.camera import gain

PLAIN = {"haze": 0.0, "falloff": 0.0}
FITC = View(0, 0, 0, "FITC", 20, sensor=(256, 256))


def lonely(truth, least_gap_um=12.0):
    """Whole cells with room around them."""
    return [cell for cell in truth.cells if cell.whole and cell.gap_um > least_gap_um]


@pytest.mark.parametrize("pixel_um", [0.25, 0.5, 1.0, 2.0], ids=str)
@pytest.mark.parametrize("channel", ["FITC", "DAPI"])
def test_cells_are_where_the_truth_says(specimen_of, centroid, pixel_um, channel):
    specimen = specimen_of(touching_fraction=0.0, cells_per_mm2=100, **PLAIN)
    view = View(31.7, -12.3, 0, channel, 20, pixel_size_um=pixel_um)
    cells = lonely(specimen.truth(view))
    assert cells
    errors = []
    for cell in cells:
        wanted = (cell.row_px, cell.col_px)
        if channel == "DAPI":
            wanted = (cell.nucleus_row_px, cell.nucleus_col_px)
        found = centroid(specimen.light(view), *wanted, radius=19 / pixel_um)
        errors.append(np.subtract(found, wanted) * pixel_um)
    # A cell's own texture moves the centre of its light by some tenths of a micrometre.
    assert np.abs(errors).max() < 1.5
    assert np.abs(np.mean(errors, axis=0)).max() < 4 * np.std(errors) / np.sqrt(len(errors))


@pytest.mark.parametrize("binning", [1, 2, 4])
@pytest.mark.parametrize("move_um", [(3.0, 0.0), (0.0, -2.0), (0.37, 0.81), (-5.5, 7.25)], ids=str)
def test_a_stage_move_shifts_the_content_by_exactly_as_much(specimen_of, centroid, move_um, binning):
    specimen = specimen_of(touching_fraction=0.0, cells_per_mm2=100, **PLAIN)
    pixel_um = 0.5 * binning
    before = View(10.2, 4.1, 0, "FITC", 20, pixel_size_um=pixel_um, binning=binning, sensor=(512, 512))
    after = replace(before, x_um=before.x_um + move_um[0], y_um=before.y_um + move_um[1])
    cell = max(lonely(specimen.truth(before), 30.0), key=lambda each: each.gap_um)
    radius = 24 / pixel_um
    row, col = centroid(specimen.light(before), cell.row_px, cell.col_px, radius)
    wanted = (row - move_um[1] / pixel_um, col - move_um[0] / pixel_um)
    assert centroid(specimen.light(after), *wanted, radius) == pytest.approx(wanted, abs=0.002)


def test_a_move_by_whole_pixels_shows_the_same_pixels(specimen_of):
    specimen = specimen_of(falloff=0.0)
    before, after = specimen.light(FITC), specimen.light(replace(FITC, x_um=7.0, y_um=-4.0))
    np.testing.assert_allclose(after[4:, :-7], before[:-4, 7:], rtol=1e-4)


def test_a_sub_pixel_move_back_and_forth_is_exact(specimen_of):
    """Half a pixel twice is a pixel: no place of the grid is special."""
    specimen = specimen_of(**PLAIN)
    row_of = [specimen.light(replace(FITC, x_um=x_um)) for x_um in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(row_of[2][:, :-1], row_of[0][:, 1:], atol=1e-2)
    spectrum = np.fft.fft(row_of[0], axis=1) * np.exp(2j * np.pi * 0.5 * np.fft.fftfreq(256))
    shifted = np.fft.ifft(spectrum, axis=1).real
    error = (shifted - row_of[1])[:, 20:-20]
    assert np.abs(error).mean() < 0.004 * row_of[0].max()


@pytest.mark.parametrize("focus_um", [0.0, -4.5])
def test_the_blur_is_symmetric_about_the_focus(specimen_of, focus_um):
    specimen = specimen_of(focus_um=focus_um)
    assert specimen.focus_um == focus_um
    offsets = np.array([-10, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 10.0])
    sharpness = [
        cv2.Laplacian(specimen.light(replace(FITC, z_um=focus_um + dz)), cv2.CV_32F).var() for dz in offsets
    ]
    assert np.argmax(sharpness) == 5
    np.testing.assert_allclose(sharpness, sharpness[::-1], rtol=1e-5)
    assert all(np.diff(sharpness[5:]) < 0)
    # One depth of field away it is plain to see.
    assert sharpness[8] < 0.5 * sharpness[5]


@pytest.mark.parametrize("dz_um", [1.0, 5.0, 12.0, 14.0, 60.0])
def test_defocus_spreads_the_light_and_keeps_it(specimen_of, dz_um):
    specimen = specimen_of(touching_fraction=0.0, cells_per_mm2=100, depth_of_field_um=2.0, **PLAIN)
    view = View(0, 0, 0, "FITC", 20, sensor=(900, 900))
    sharp, blurred = specimen.light(view), specimen.light(replace(view, z_um=dz_um))
    # Nothing else than one blur of the known width, whichever way it is computed.
    sigma = 1.2 * dz_um / 2.0
    wanted = ndimage.gaussian_filter(sharp.astype(float), min(sigma, np.sqrt(40.0**2 - 0.7**2)))
    inner = slice(200, 700)
    error = np.abs(blurred - wanted)[inner, inner]
    assert error.max() < 0.02 * wanted[inner, inner].max()


@pytest.mark.parametrize("sensor", [(512, 512), (300, 700)], ids=str)
def test_forty_per_cent_of_the_light_is_lost_in_the_corners(specimen_of, sensor):
    view = View(0, 0, 0, "FITC", 20, sensor=sensor)
    loss = 1 - specimen_of(falloff=0.4).light(view) / specimen_of(falloff=0.0).light(view)
    height, width = sensor
    corners = loss[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert loss[height // 2, width // 2] == pytest.approx(0.0, abs=1e-4)
    assert corners == pytest.approx([0.4] * 4, abs=0.005)
    assert np.all(np.diff(loss[height // 2, width // 2 :]) >= -1e-6)


def test_haze_is_broad_and_strong(specimen_of):
    """It changes slowly, over many cells, and by more than the cells are bright."""
    view = View(0, 0, 0, "FITC", 20, sensor=(1024, 1024))
    haze = specimen_of(signal=0.0, falloff=0.0).light(view)
    cells = specimen_of(**PLAIN).light(view)
    assert np.ptp(haze) > np.median(cells[cells > 0.5 * cells.max()])
    broad = ndimage.gaussian_filter(haze, 10)
    assert np.abs(haze - broad)[40:-40, 40:-40].max() < 0.05 * np.ptp(haze)


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
def test_the_signal_is_five_to_ten_times_the_noise(specimen_of, channel):
    """Measured from images alone: peak of each cell over its surroundings, against its pixels' own variation."""
    specimen = specimen_of(seed=5)
    view = View(0, 0, 0, channel, 20)
    images = np.stack([specimen.render(replace(view, image=number)) for number in range(60)]).astype(
        np.float32
    )
    mean, noise = images.mean(axis=0), images.std(axis=0)
    truth = specimen.truth(view)
    any_cell = ndimage.binary_dilation(truth.visible > 0, iterations=3)
    ratios = []
    for cell in (each for each in truth.cells if each.whole and not each.touching):
        mine = truth.visible == cell.label
        around = ndimage.binary_dilation(mine, iterations=8) & ~any_cell
        bright = mine & (mean >= np.percentile(mean[mine], 90))
        ratios.append((mean[bright].mean() - np.median(mean[around])) / noise[bright].mean())
    assert 6.0 < np.median(ratios) < 9.0
    assert np.mean([5 <= ratio <= 10 for ratio in ratios]) > 0.75


def test_noise_is_that_of_photons_and_reading(specimen_of):
    specimen = specimen_of(signal=0.0, falloff=0.0)
    per_electron, offset = gain(16)
    view = replace(FITC, exposure_ms=40.0)
    images = np.stack([specimen.render(replace(view, image=number)) for number in range(80)]).astype(float)
    electrons = specimen.light(view) * 2.0
    assert (images.mean(axis=0) - offset) / per_electron == pytest.approx(electrons, rel=0.1)
    expected = per_electron * np.sqrt(electrons + 2.5**2)
    assert (images.std(axis=0, ddof=1) / expected).mean() == pytest.approx(1.0, abs=0.01)


def test_noise_differs_between_images_without_a_common_pattern(specimen_of):
    specimen = specimen_of()
    first, second = (specimen.render(replace(FITC, image=number)).astype(float) for number in (0, 1))
    light = specimen.light(FITC) * gain(16)[0] + gain(16)[1]
    spectra = [np.fft.fft2((image - light) / image.std()) for image in (first, second)]
    correlation = np.fft.ifft2(spectra[0] * spectra[1].conj()).real
    assert np.abs(correlation).max() < 6.5 * correlation.std()


@pytest.mark.parametrize("exposure_ms", [5.0, 80.0])
def test_light_grows_with_the_exposure(specimen_of, exposure_ms):
    specimen = specimen_of()
    _, offset = gain(16)
    usual = specimen.render(replace(FITC, image=0)).mean() - offset
    got = specimen.render(replace(FITC, exposure_ms=exposure_ms, image=0)).mean() - offset
    assert got / usual == pytest.approx(exposure_ms / 20, rel=0.01)


@pytest.mark.parametrize("binning", [2, 4])
def test_binning_sums_the_pixels(specimen_of, binning):
    specimen = specimen_of()
    view = View(0, 0, 0, "FITC", 20, sensor=(256, 256), image=0)
    binned = replace(view, pixel_size_um=binning * 1.0, binning=binning, sensor=(256 // binning,) * 2)
    _, offset = gain(16)
    one, sum_of_many = specimen.render(view), specimen.render(binned)
    assert sum_of_many.shape == (256 // binning, 256 // binning)
    assert (sum_of_many.mean() - offset) / (one.mean() - offset) == pytest.approx(binning**2, rel=0.02)


def test_a_region_is_a_part_of_the_whole(specimen_of):
    specimen = specimen_of()
    whole = specimen.light(FITC)
    part = specimen.light(replace(FITC, roi=(30, 50, 120, 80)))
    assert part.shape == (80, 120)
    np.testing.assert_allclose(part, whole[50:130, 30:150], rtol=1e-5)


@pytest.mark.parametrize("zoom", [2, 4])
def test_another_objective_scales_the_cells(specimen_of, zoom):
    specimen = specimen_of(**PLAIN)
    low = View(0, 0, 0, "FITC", 20, pixel_size_um=1.0, sensor=(128, 128))
    high = replace(low, pixel_size_um=1.0 / zoom, sensor=(128 * zoom, 128 * zoom))
    bright = [light > 40 for light in (specimen.light(low), specimen.light(high))]
    assert bright[1].sum() / bright[0].sum() == pytest.approx(zoom**2, rel=0.1)
    # The same cells in the same places: the small picture is the big one made smaller.
    big = ndimage.gaussian_filter(specimen.light(high), 0.55 * zoom)
    cols = np.arange(128) * zoom
    assert np.corrcoef(big[np.ix_(cols, cols)].ravel(), specimen.light(low).ravel())[0, 1] > 0.995


@pytest.mark.parametrize(
    ("bit_depth", "bytes_per_pixel", "dtype", "top"),
    [(8, 1, np.uint8, 255), (10, 2, np.uint16, 1023), (12, 2, np.uint16, 4095), (16, 2, np.uint16, 65535)],
    ids=str,
)
def test_grey_values_have_the_bits_of_the_camera(specimen_of, bit_depth, bytes_per_pixel, dtype, top):
    view = replace(FITC, bit_depth=bit_depth, bytes_per_pixel=bytes_per_pixel)
    usual = specimen_of().render(view)
    assert usual.dtype == dtype
    assert usual.min() > 0 and usual.max() < top
    assert specimen_of().render(replace(view, exposure_ms=9000.0)).max() == top


@pytest.mark.parametrize(
    ("channel", "bright", "dark"),
    [
        pytest.param("DAPI", "nucleus", "cytoplasm", id="DAPI"),
        pytest.param("Hoechst 405", "nucleus", "cytoplasm", id="part of a name"),
        pytest.param("FITC", "cytoplasm", "outside", id="FITC"),
        pytest.param("Rhodamine", "cytoplasm", "nucleus", id="Rhodamine"),
        pytest.param("my own", "cytoplasm", "outside", id="unknown name"),
        pytest.param(None, "cytoplasm", "outside", id="no channel"),
    ],
)
def test_each_channel_shows_its_part_of_the_cells(specimen_of, channel, bright, dark):
    specimen = specimen_of(**PLAIN)
    view = replace(FITC, channel=channel, pixel_size_um=0.5)
    truth = specimen.truth(view)
    body = ndimage.binary_erosion(truth.labels > 0, iterations=3)
    core = ndimage.binary_erosion(truth.nuclei > 0, iterations=3)
    rim = body & ~ndimage.binary_dilation(truth.nuclei > 0, iterations=3)
    places = {
        "nucleus": core,
        "cytoplasm": rim,
        "outside": ~ndimage.binary_dilation(truth.labels > 0, iterations=6),
    }
    light = specimen.light(view)
    assert light[places[bright]].mean() > 2.5 * light[places[dark]].mean()


def test_cy5_marks_some_cells_only(specimen_of):
    specimen = specimen_of(**PLAIN)
    view = View(0, 0, 0, "Cy5", 20)
    truth = specimen.truth(view)
    seen = ndimage.mean(specimen.light(view), truth.labels, [cell.label for cell in truth.cells])
    positive = np.array([cell.marker > 0.5 for cell in truth.cells])
    assert 0.15 < positive.mean() < 0.45
    assert seen[positive].min() > 3 * seen[~positive].max()


def test_the_same_seed_and_exposures_give_the_same_images():
    def run(seed):
        specimen = Specimen(SpecimenParameters(seed=seed))
        return [specimen.render(replace(FITC, x_um=float(step))) for step in range(3)]

    first, second, other = run(1), run(1), run(2)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_an_image_can_be_had_again():
    specimen = Specimen(SpecimenParameters(jumps=(Jump(after_images=2, dx_um=9.0),)))
    images = [specimen.render(FITC) for _ in range(4)]
    assert specimen.images == 4
    for number, image in enumerate(images):
        np.testing.assert_array_equal(specimen.render(replace(FITC, image=number)), image)
    assert specimen.images == 4


def test_a_planned_jump_happens_after_so_many_images():
    specimen = Specimen(SpecimenParameters(jumps=(Jump(after_images=2, dz_um=6.0),)))
    focus = []
    for _ in range(4):
        focus.append(specimen.focus_um)
        specimen.render(FITC)
    assert focus == [0.0, 0.0, 6.0, 6.0]


def test_a_jump_on_command_moves_cells_and_focus(specimen_of):
    specimen, still = Specimen(SpecimenParameters(**PLAIN)), specimen_of(**PLAIN)
    specimen.render(FITC)
    specimen.jump(dx_um=4.25, dy_um=-3.0, dz_um=5.0)
    assert specimen.focus_um == 5.0
    now = replace(FITC, z_um=5.0, image=1)
    # The cells go where the stage would have had to go to find them.
    same_place = replace(FITC, x_um=-4.25, y_um=3.0)
    np.testing.assert_allclose(specimen.light(now), still.light(same_place), atol=1e-3)
    # What was seen before stays as it was.
    np.testing.assert_array_equal(specimen.light(replace(FITC, image=0)), still.light(FITC))


def test_the_light_cannot_be_written_to(specimen_of):
    with pytest.raises(ValueError, match="read-only"):
        specimen_of().light(FITC)[0, 0] = 0
