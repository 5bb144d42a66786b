"""Transmitted light: transparent cells that vanish in focus."""

from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import ORIENTATIONS, Bleaching, Brightfield, Specimen, SpecimenParameters, View
from inscoper_mm.specimen.transmission import transmitted

GREY = View(0, 0, 0, "Grey", 20, pixel_size_um=0.65, sensor=(300, 300), image=0)
CLEAR = {"falloff": 0.0, "brightfield": Brightfield(channels=("Grey",))}


def wave(period_px, size=256):
    return np.broadcast_to(np.cos(2 * np.pi * np.arange(size) / period_px), (size, size)).astype(np.float32)


@pytest.mark.parametrize("depths", [-3.0, -1.0, 0.0, 0.5, 2.0, 6.0])
@pytest.mark.parametrize(("phase", "absorption"), [(0.1, 0.0), (0.0, 0.1), (0.1, 0.03)], ids=str)
def test_the_contrast_of_a_grating_is_that_of_the_formula(depths, phase, absorption):
    period_um, pixel_um = 4.0, 0.5
    seen = transmitted(
        wave(period_um / pixel_um), depths, Brightfield((), phase, absorption), pixel_um, (0.0, 0.0), 64
    )
    frequency = 1 / period_um
    # 0.55 um of wavelength, 2 um for each depth of field; blur of 0.45 um and of 0.6 um for each depth of field.
    retardation = np.pi * 0.55 * 2.0 * depths * frequency**2
    blur = np.exp(-2 * (np.pi * frequency) ** 2 * (0.45**2 + (0.6 * depths) ** 2))
    wanted = 2 * (phase * np.sin(retardation) - absorption * np.cos(retardation)) * blur
    contrast = 2 * np.mean((seen - 1) * wave(period_um / pixel_um)[64:-64, 64:-64])
    assert contrast == pytest.approx(wanted, abs=0.002)
    assert seen.mean() == pytest.approx(1.0, abs=1e-3)


def test_a_fraction_of_a_pixel_shifts_the_image_by_as_much():
    thickness = wave(16.0)
    still, moved = (
        transmitted(thickness, 2.0, Brightfield(), 0.5, (0.0, shift), 64) for shift in (0.0, 0.25)
    )
    phases = [np.angle(np.fft.fft(image[0])[8]) for image in (still, moved)]
    assert phases[1] - phases[0] == pytest.approx(2 * np.pi * 0.25 / 16, abs=1e-3)


def test_in_focus_a_transparent_cell_vanishes_and_beyond_it_its_contrast_is_reversed():
    brightfield = Brightfield(channels=("Grey",), absorption=0.0)
    specimen = Specimen(SpecimenParameters(falloff=0.0, brightfield=brightfield))
    inside = specimen.truth(GREY).labels > 0
    contrast, detail = {}, {}
    for z_um in (-4.0, -2.0, 0.0, 2.0, 4.0):
        light = specimen.light(replace(GREY, z_um=z_um)) / brightfield.electrons
        contrast[z_um] = light[inside].mean() - light[~inside].mean()
        detail[z_um] = light.std()
    assert detail[0.0] < 1e-4
    assert min(detail[2.0], detail[-2.0]) > 0.02
    assert detail[-4.0] == pytest.approx(detail[4.0], rel=0.05)
    # Above the focus the cells gather the light, below they lack it.
    assert contrast[-4.0] < contrast[-2.0] < 0 < contrast[2.0] < contrast[4.0]


def test_the_plane_of_least_contrast_follows_the_focus():
    specimen = Specimen(SpecimenParameters(focus_um=5.0, channel_focus_um={"Grey": 1.5}, **CLEAR))
    assert specimen.truth(GREY).focus_um == 6.5
    heights = np.arange(2.5, 10.6, 0.5)
    detail = [specimen.light(replace(GREY, z_um=z_um)).std() for z_um in heights]
    assert heights[np.argmin(detail[4:-4]) + 4] == pytest.approx(6.5, abs=0.5)
    assert min(detail[0], detail[-1]) > 1.5 * min(detail)


def test_each_channel_may_have_a_focus_of_its_own(specimen_of):
    specimen = Specimen(SpecimenParameters(channel_focus_um={"Cy5": -2.0}))
    fitc = replace(GREY, channel="FITC", z_um=1.0)
    np.testing.assert_array_equal(specimen.light(fitc), specimen_of().light(fitc))
    cy5 = replace(GREY, channel="Cy5", z_um=-2.0)
    np.testing.assert_array_equal(specimen.light(cy5), specimen_of().light(replace(cy5, z_um=0.0)))


def test_transmitted_light_shows_bodies_and_bleaches_nothing():
    """Also in a channel that would show nuclei if it were fluorescence."""
    parameters = SpecimenParameters(
        brightfield=Brightfield(channels=("DAPI",)), bleaching=Bleaching(imaging_per_ms=0.1)
    )
    specimen = Specimen(parameters)
    view = replace(GREY, channel="DAPI", z_um=2.0, image=None)
    before = specimen.light(view)
    specimen.expose(view)
    truth = specimen.truth(view)
    assert {cell.remaining for cell in truth.cells} == {1.0}
    np.testing.assert_array_equal(truth.visible, truth.labels)
    fitc = replace(view, channel="FITC")
    specimen.expose(fitc)
    assert max(cell.remaining for cell in specimen.truth(fitc).cells if cell.whole) < 0.2
    np.testing.assert_array_equal(specimen.light(view), before)


@pytest.mark.parametrize("orientation", ["rotated_90", "mirrored"])
def test_it_is_seen_where_the_cells_are(orientation):
    specimen = Specimen(SpecimenParameters(falloff=0.0, brightfield=Brightfield(("Grey",), 0.0, 0.3)))
    view = replace(GREY, orientation=ORIENTATIONS[orientation], x_um=13.3)
    taken = 1 - specimen.light(view) / 1200
    labels = specimen.truth(view).labels > 0
    assert np.corrcoef(taken.ravel(), labels.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("mapping", "field", "told"),
    [
        pytest.param({"brightfield": {"channel": ["a"]}}, "brightfield.channel", "'channels'", id="name"),
        pytest.param({"brightfield": {"channels": "a"}}, "brightfield.channels", "a list", id="no list"),
        pytest.param({"channel_focus_um": {"Cy5": "up"}}, "channel_focus_um.Cy5", "a number", id="focus"),
    ],
)
def test_what_is_wrong_is_told(mapping, field, told):
    with pytest.raises(InvalidInput) as caught:
        SpecimenParameters.from_mapping(mapping)
    (finding,) = caught.value.findings
    assert finding.field == f"microscope.specimen.{field}"
    assert told in str(finding)
