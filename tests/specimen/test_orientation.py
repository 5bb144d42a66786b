"""Cameras that are turned, mirrored, stretched and sheared."""

from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import ORIENTATIONS, Camera, Orientation, Specimen, SpecimenParameters, View, attach
from inscoper_mm.specimen.orientation import turned

PLAIN = {"haze": 0.0, "falloff": 0.0}
UPRIGHT = View(13.3, -8.6, 0, "FITC", 20, pixel_size_um=0.5, sensor=(320, 320))

# Of an image as the upright camera sees it, what the turned camera sees. A camera that is turned by 90 degrees has
# its columns along +y and its rows along -x: what is up in its image lies at +x, to the right of the upright one.
SEEN = {
    "upright": lambda image: image,
    "rotated_90": lambda image: np.rot90(image, 1),
    "rotated_180": lambda image: np.rot90(image, 2),
    "rotated_270": lambda image: np.rot90(image, 3),
    "mirrored": np.fliplr,
    "mirrored_rotated_90": lambda image: np.fliplr(np.rot90(image, 1)),
    "mirrored_rotated_180": lambda image: np.fliplr(np.rot90(image, 2)),
    "mirrored_rotated_270": lambda image: np.fliplr(np.rot90(image, 3)),
}
SKEWED = {
    "3 degrees": turned(3.0),
    "0.325 um and 1 % anisotropy": turned(0.8, aspect=1.01),
    "mirrored and turned": turned(-37.0, mirrored=True),
    "sheared": turned(91.0, shear_deg=2.0, aspect=0.97),
}


def centred(image, flipped):
    """The pixels at equal distances to both sides of the stage position, which lies between no two pixels."""
    return flipped(image[1:, 1:])


@pytest.mark.parametrize("channel", ["FITC", "DAPI", "Rhodamine"])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_eight_orientations_show_the_same_pixels(specimen_of, name, channel):
    # The lamp stays with the sensor.
    specimen = specimen_of(falloff=0.0)
    view = replace(UPRIGHT, channel=channel)
    upright = specimen.light(view)
    seen = specimen.light(replace(view, orientation=ORIENTATIONS[name]))
    wanted = centred(upright, SEEN[name])
    np.testing.assert_allclose(seen[1:, 1:], wanted, rtol=2e-4, atol=0.02)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_truth_is_turned_alike(specimen_of, name):
    specimen = specimen_of()
    upright = specimen.truth(UPRIGHT)
    turned_view = replace(UPRIGHT, orientation=ORIENTATIONS[name])
    truth = specimen.truth(turned_view)
    for mine, its in ((truth.labels, upright.labels), (truth.nuclei, upright.nuclei)):
        differing = (mine > 0)[1:, 1:] != centred(its > 0, SEEN[name])
        assert differing.mean() < 1e-4
    at = {cell.id: cell for cell in upright.cells}
    for cell in truth.cells:
        assert (cell.x_um, cell.y_um) == (at[cell.id].x_um, at[cell.id].y_um)
        assert turned_view.to_pixel(cell.x_um, cell.y_um) == pytest.approx((cell.row_px, cell.col_px))
        if cell.whole:
            pixels = np.count_nonzero(truth.labels == cell.label)
            assert pixels * 0.25 == pytest.approx(cell.area_um2, rel=0.1)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("roi", [(40, 10, 150, 90), (0, 200, 64, 64)], ids=str)
def test_a_region_is_a_part_of_what_the_turned_camera_sees(specimen_of, name, roi):
    specimen = specimen_of()
    whole = replace(UPRIGHT, sensor=(300, 340), orientation=ORIENTATIONS[name])
    col, row, width, height = roi
    part = specimen.light(replace(whole, roi=roi))
    wanted = specimen.light(whole)[row : row + height, col : col + width]
    np.testing.assert_allclose(part, wanted, rtol=2e-4, atol=0.02)


@pytest.mark.parametrize(
    "orientation", [*SKEWED.values(), *ORIENTATIONS.values()], ids=[*SKEWED, *ORIENTATIONS]
)
@pytest.mark.parametrize("binning", [1, 2])
def test_a_cell_is_seen_where_the_affine_leads(specimen_of, centroid, orientation, binning):
    """To a fiftieth of a pixel: the same cell, moved over the image, against the place where it was first seen."""
    specimen = specimen_of(touching_fraction=0.0, cells_per_mm2=100, **PLAIN)
    pixel_um = 0.325 * binning
    view = View(0, 0, 0, "FITC", 20, pixel_um, binning, sensor=(800 // binning,) * 2, orientation=orientation)
    inner = [
        cell for cell in specimen.truth(view).cells if cell.whole and cell.gap_um > 25 and abs(cell.x_um) < 60
    ]
    cell = max(inner, key=lambda each: each.gap_um)
    radius = 20 / pixel_um
    first = centroid(specimen.light(view), cell.row_px, cell.col_px, radius)
    offset = np.subtract(first, (cell.row_px, cell.col_px))
    assert np.abs(offset * pixel_um).max() < 1.5
    for move_um in [(3.0, 0.0), (0.0, -2.0), (0.37, 0.81), (-25.5, 31.25)]:
        moved = replace(view, x_um=move_um[0], y_um=move_um[1])
        wanted = np.add(moved.to_pixel(cell.x_um, cell.y_um), offset)
        assert centroid(specimen.light(moved), *wanted, radius) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("orientation", SKEWED.values(), ids=SKEWED)
def test_haze_is_seen_where_the_affine_leads(specimen_of, orientation):
    specimen = specimen_of(signal=0.0, falloff=0.0)
    upright = View(0, 0, 0, "FITC", 20, sensor=(700, 700))
    view = replace(upright, sensor=(200, 260), orientation=orientation)
    skewed, straight = specimen.light(view), specimen.light(upright)
    for row, col in [(0, 0), (10, 250), (99, 120), (199, 3)]:
        y, x = upright.to_pixel(*view.to_stage(row, col))
        at = straight[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
        assert at.min() - 0.5 <= skewed[row, col] <= at.max() + 0.5


@pytest.mark.parametrize(
    "orientation", [*SKEWED.values(), *ORIENTATIONS.values()], ids=[*SKEWED, *ORIENTATIONS]
)
def test_pixels_and_stage_undo_each_other(orientation):
    view = View(100, -50, 0, "FITC", 20, 0.65, 2, (400, 600), (30, 20, 99, 77), orientation=orientation)
    assert view.to_stage(*view.to_pixel(131.0, -77.7)) == pytest.approx((131.0, -77.7))
    assert view.to_pixel(100, -50) == pytest.approx((180, 270))


@pytest.mark.parametrize(
    ("name", "right", "down"),
    [
        ("upright", (1, 0), (0, 1)),
        ("rotated_90", (0, 1), (-1, 0)),
        ("rotated_180", (-1, 0), (0, -1)),
        ("rotated_270", (0, -1), (1, 0)),
        ("mirrored", (-1, 0), (0, 1)),
        ("mirrored_rotated_90", (0, -1), (-1, 0)),
        ("mirrored_rotated_180", (1, 0), (0, -1)),
        ("mirrored_rotated_270", (0, 1), (1, 0)),
    ],
)
def test_directions_of_the_eight(name, right, down):
    """Where on the stage the next column and the next row are; exact, not nearly so."""
    orientation = ORIENTATIONS[name]
    assert orientation.to_stage(1.0, 0.0) == right
    assert orientation.to_stage(0.0, 1.0) == down


def test_a_general_affine():
    orientation = turned(30.0, aspect=1.21, shear_deg=10.0)
    right, down = np.array(orientation.to_stage(1.0, 0.0)), np.array(orientation.to_stage(0.0, 1.0))
    assert np.hypot(*down) / np.hypot(*right) == pytest.approx(1.21)
    assert np.degrees(np.arctan2(right[1], right[0])) == pytest.approx(30.0)
    assert np.degrees(np.arctan2(down[1], down[0])) == pytest.approx(30.0 + 90.0 + 10.0)
    assert right[0] * down[1] - right[1] * down[0] == pytest.approx(1.0)
    assert orientation.affine_um(0.5) == pytest.approx((right[0] / 2, down[0] / 2, right[1] / 2, down[1] / 2))


@pytest.mark.demo
@pytest.mark.parametrize("binning", [1, 2])
def test_the_core_is_told_the_affine_and_forgets_it(core, binning):
    core.setProperty("Camera", "Binning", binning)
    before = core.getPixelSizeUm(True), core.getPixelSizeAffine(True)
    camera = Camera(rotation_deg=93.0, mirrored=True, aspect=1.02, pixel_size_um=0.325)
    specimen = Specimen(SpecimenParameters(camera=camera, set_affine=True))
    with attach(core, specimen) as attachment:
        view = attachment.read_view()
        assert core.getPixelSizeUm(True) == pytest.approx(0.325 * binning)
        x_col, x_row, x, y_col, y_row, y = core.getPixelSizeAffine(True)
    step = np.subtract(view.to_stage(1.0, 0.0), view.to_stage(0.0, 0.0))
    assert (x_row, y_row) == pytest.approx(tuple(step))
    step = np.subtract(view.to_stage(0.0, 1.0), view.to_stage(0.0, 0.0))
    assert (x_col, y_col) == pytest.approx(tuple(step))
    assert (x, y) == (0, 0)
    assert (core.getPixelSizeUm(True), core.getPixelSizeAffine(True)) == before


@pytest.mark.demo
def test_the_core_need_not_know(core):
    before = core.getPixelSizeAffine()
    with attach(core, Specimen(SpecimenParameters(camera=Camera(rotation_deg=90.0)))) as attachment:
        core.snapImage()
        assert core.getPixelSizeAffine() == before
        assert attachment.last_view.orientation == ORIENTATIONS["rotated_90"]


@pytest.mark.demo
def test_a_core_without_pixel_sizes_cannot_be_told(core):
    presets = {name: core.getPixelSizeConfigData(name) for name in core.getAvailablePixelSizeConfigs()}
    sizes = {name: core.getPixelSizeUmByID(name) for name in presets}
    for name in presets:
        core.deletePixelSizeConfig(name)
    try:
        with pytest.raises(InvalidInput, match="set_affine"):
            attach(core, Specimen(SpecimenParameters(set_affine=True)))
        assert "snapImage" not in vars(core)
    finally:
        for name, data in presets.items():
            setting = data.getSetting(0)
            key = setting.getDeviceLabel(), setting.getPropertyName(), setting.getPropertyValue()
            core.definePixelSizeConfig(name, *key)
            core.setPixelSizeUm(name, sizes[name])


def test_read_from_an_experiment_file():
    got = SpecimenParameters.from_mapping(
        {"camera": {"rotation_deg": 90, "mirrored": True, "pixel_size_um": 0.65}}
    )
    assert got.camera == Camera(rotation_deg=90.0, mirrored=True, pixel_size_um=0.65)
    assert got.camera.orientation == Orientation(0.0, -1.0, -1.0, 0.0)
