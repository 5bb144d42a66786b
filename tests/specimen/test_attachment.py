"""The specimen behind the camera of the real demo Core."""

import time
from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Specimen, SpecimenParameters, attach

pytestmark = pytest.mark.demo


@pytest.fixture
def specimen():
    return Specimen(SpecimenParameters(seed=3))


def move_to(core, x_um, y_um, z_um):
    core.setXYPosition(x_um, y_um)
    core.setPosition(z_um)
    core.waitForSystem()


def test_an_image_is_rendered_from_where_the_devices_stand(core, specimen):
    with attach(core, specimen) as attachment:
        move_to(core, 30.0, -45.0, 3.0)
        core.setConfig("Channel", "DAPI")
        core.setExposure(20.0)
        core.snapImage()
        image, view = core.getImage(), attachment.last_view
    assert (view.x_um, view.y_um, view.z_um) == pytest.approx((30.0, -45.0, 3.0), abs=0.02)
    assert (view.channel, view.exposure_ms, view.pixel_size_um, view.bit_depth) == ("DAPI", 20.0, 1.0, 16)
    assert (view.sensor, view.binning, view.image) == ((512, 512), 1, 0)
    np.testing.assert_array_equal(image, Specimen(specimen.parameters).render(view))


@pytest.mark.parametrize("spelling", ["camel", "snake", "tagged"])
def test_every_way_to_an_image_gives_the_same(core, specimen, spelling):
    ways = {
        "camel": lambda: (core.snapImage(), core.getImage())[1],
        "snake": lambda: (core.snap_image(), core.get_image())[1],
        "tagged": lambda: (core.snap_image(), core.get_tagged_image(0, "Camera", 512, 512).pix)[1],
    }
    with attach(core, specimen) as attachment:
        image = ways[spelling]()
        np.testing.assert_array_equal(image, core.getImage())
        np.testing.assert_array_equal(image, specimen.render(attachment.last_view))


def test_an_image_is_told_from_the_next_one_that_was_taken_already(core, specimen):
    places = []
    with attach(core, specimen) as attachment:
        for z_um in (1.0, 2.0):
            move_to(core, 0.0, 0.0, z_um)
            core.snapImage()
            places.append((core.getXPosition(), core.getYPosition(), core.getPosition()))
        seen = [attachment.view_of({}, place) for place in places]
        assert attachment.view_of({}, places[0]) is attachment.last_view  # asked for once only
    assert [(view.image, view.z_um) for view in seen] == [(0, 1.0), (1, 2.0)]


def test_the_exposure_really_takes_place(core, specimen):
    with attach(core, specimen):
        core.setExposure(150.0)
        start = time.perf_counter()
        core.snapImage()
        assert time.perf_counter() - start > 0.14


def test_what_moves_after_the_snap_is_too_late(core, specimen):
    with attach(core, specimen) as attachment:
        core.snapImage()
        before = attachment.last_view
        move_to(core, 50.0, 0.0, 9.0)
        specimen.jump(dx_um=20.0, dz_um=5.0)
        np.testing.assert_array_equal(core.getImage(), Specimen(specimen.parameters).render(before))


@pytest.mark.parametrize(
    ("auto", "is_open", "light"),
    [
        pytest.param(True, False, True, id="opened for each image"),
        pytest.param(False, True, True, id="left open"),
        pytest.param(False, False, False, id="closed"),
    ],
)
@pytest.mark.parametrize("way", ["snap", "burst"])
def test_a_closed_shutter_gives_a_dark_image(core, specimen, auto, is_open, light, way):
    with attach(core, specimen):
        core.setAutoShutter(auto)
        try:
            core.setShutterOpen(is_open)
            core.waitForSystem()
            if way == "snap":
                core.snapImage()
                image = core.getImage()
            else:
                image = burst(core, 1)[0].pix
        finally:
            core.setShutterOpen(False)
            core.setAutoShutter(True)
    assert (image.mean() > 105) == light
    if not light:
        assert image.mean() == pytest.approx(100.0, abs=0.1)


def test_channels_are_told_apart(core, specimen):
    with attach(core, specimen) as attachment:
        seen = []
        for group, preset in [("Channel", "FITC"), ("Channel", "Cy5"), ("Channel-Multiband", "Rhodamine")]:
            core.setConfig(group, preset)
            core.snapImage()
            seen.append(attachment.last_view.channel)
    assert seen == ["FITC", "Cy5", "Rhodamine"]


def test_objective_binning_and_region(core, specimen):
    with attach(core, specimen) as attachment:
        core.setConfig("Objective", "20X")
        core.setProperty("Camera", "Binning", "2")
        core.setROI(10, 20, 100, 80)
        core.snapImage()
        image, view = core.getImage(), attachment.last_view
    assert image.shape == (80, 100)
    assert (view.pixel_size_um, view.binning, view.sensor) == (1.0, 2, (256, 256))
    whole = specimen.light(replace(view, roi=None))
    np.testing.assert_allclose(specimen.light(view), whole[20:100, 10:110], rtol=1e-5)


@pytest.mark.parametrize(("pixel_type", "dtype", "bits"), [("8bit", np.uint8, 8), ("16bit", np.uint16, 16)])
def test_pixel_types(core, specimen, pixel_type, dtype, bits):
    with attach(core, specimen) as attachment:
        core.setProperty("Camera", "PixelType", pixel_type)
        core.snapImage()
        assert core.getImage().dtype == dtype
        assert attachment.last_view.bit_depth == bits


def test_colour_is_refused(core, specimen):
    with attach(core, specimen):
        core.setProperty("Camera", "PixelType", "32bitRGB")
        with pytest.raises(InvalidInput, match="PixelType"):
            core.snapImage()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        pytest.param(
            {"brightfield": {"channels": ["FITC", "Rodamine"]}}, "brightfield.channels", id="brightfield"
        ),
        pytest.param({"channel_focus_um": {"Rodamine": 1.0}}, "channel_focus_um", id="focus"),
    ],
)
def test_a_channel_that_the_configuration_does_not_have_is_told(core, parameters, field):
    before = set(vars(core))
    with pytest.raises(InvalidInput) as caught:
        attach(core, Specimen(SpecimenParameters.from_mapping(parameters)))
    (finding,) = caught.value.findings
    assert (finding.field, finding.suggestion) == (f"microscope.specimen.{field}", "Rhodamine")
    assert set(vars(core)) == before


def test_a_channel_of_transmitted_light(core):
    parameters = {"brightfield": {"channels": ["FITC"]}, "time": {"per_image_s": 5}}
    with attach(core, Specimen(SpecimenParameters.from_mapping(parameters))) as attachment:
        core.setExposure(20.0)
        move_to(core, 0.0, 0.0, 3.0)
        core.snapImage()
        # 1,200 electrons beside the cells, of which 40 % are lost in the corners.
        assert np.percentile(core.getImage(), 95) == pytest.approx(2 * 1200 + 100, rel=0.05)
        core.snapImage()
        assert attachment.last_view.time_s == pytest.approx(5.0)


def burst(core, count):
    """The images of a hardware sequence, as the acquisition engine takes them."""
    core.startSequenceAcquisition(count, 0.0, True)
    images, end = [], time.monotonic() + 20.0
    while len(images) < count and time.monotonic() < end:
        if core.getRemainingImageCount():
            images.append(core.pop_next_tagged_image())
        else:
            time.sleep(0.001)
    return images


def test_a_burst_steps_through_a_stack(core, specimen):
    z_um = [-4.0, 0.0, 4.0]
    with attach(core, specimen) as attachment:
        core.setProperty("Z", "UseSequences", "Yes")
        core.loadStageSequence("Z", z_um)
        core.startStageSequence("Z")
        images = burst(core, 3)
        core.stopStageSequence("Z")
        view = attachment.last_view
        after = burst(core, 2)
    for number, image in enumerate(images):
        wanted = specimen.render(replace(view, z_um=z_um[number], image=number))
        np.testing.assert_array_equal(image.pix, wanted)
    assert [image.tags["ImageNumber"] for image in images] == ["0", "1", "2"]
    assert attachment.last_view.z_um == 0.0
    assert not np.array_equal(after[0].pix, after[1].pix)


def test_a_burst_through_a_stack_sees_the_shift_of_the_objective(core):
    parameters = {"objectives": {"Nikon 10X S Fluor": {"z_um": 3.0}}}
    with attach(core, Specimen(SpecimenParameters.from_mapping(parameters))) as attachment:
        core.setProperty("Z", "UseSequences", "Yes")
        core.loadStageSequence("Z", [1.0, 3.0, 5.0])
        core.startStageSequence("Z")
        seen = []
        for count in (1, 2, 3):
            burst(core, count)
            seen.append(attachment.last_view.z_um)
        core.stopStageSequence("Z")
    assert seen == pytest.approx([-2.0, 0.0, 2.0])


def test_live_images_follow_the_stage(core, specimen):
    with attach(core, specimen) as attachment:
        core.startContinuousSequenceAcquisition(0.0)
        try:
            end = time.monotonic() + 20.0
            while not core.getRemainingImageCount() and time.monotonic() < end:
                time.sleep(0.001)
            core.getLastImage()
            assert attachment.last_view.x_um == pytest.approx(0.0, abs=0.02)
            move_to(core, 12.0, 0.0, 0.0)
            image = core.getLastImage()
        finally:
            core.stopSequenceAcquisition()
    assert attachment.last_view.x_um == pytest.approx(12.0, abs=0.02)
    np.testing.assert_array_equal(image, specimen.render(attachment.last_view))


def test_the_specimen_can_be_taken_away(core, specimen):
    before = set(vars(core))
    with attach(core, specimen):
        core.snapImage()
        shown = core.getImage()
    assert set(vars(core)) == before
    core.snapImage()
    assert not np.array_equal(core.getImage(), shown)
    assert specimen.images == 1


def test_two_specimens_one_behind_the_other(core, specimen):
    other = Specimen(SpecimenParameters(seed=9))
    with attach(core, specimen):
        with attach(core, other):
            core.snapImage()
            np.testing.assert_array_equal(core.getImage(), other.render(replace(other_view(core), image=0)))
        core.snapImage()
        assert core.getImage().shape == (512, 512)
    assert "snapImage" not in vars(core)


def other_view(core):
    with attach(core, Specimen()) as attachment:
        return attachment.read_view()


def test_each_objective_may_see_another_place_at_another_focus(core):
    """With the objective's shift added to stage and focus, the image is that of the plain place."""
    shift = {"x_um": 14.0, "y_um": -9.0, "z_um": 3.0}
    parameters = {"objectives": {"Nikon 40X Plan Fluor ELWD": shift}}
    core.setConfig("Objective", "40X")
    try:
        with attach(core, Specimen(SpecimenParameters())) as plain:
            core.setXYPosition(0.0, 0.0)
            core.setPosition(0.0)
            expected = plain.read_view()
        with attach(core, Specimen(SpecimenParameters.from_mapping(parameters))) as shifted:
            core.setXYPosition(14.0, -9.0)
            core.setPosition(3.0)
            core.waitForSystem()
            view = shifted.read_view()
            assert (view.x_um, view.y_um, view.z_um) == pytest.approx((0, 0, 0), abs=0.02)
            assert view.pixel_size_um == expected.pixel_size_um == 0.25
            core.setConfig("Objective", "10X")
            assert shifted.read_view().x_um == pytest.approx(14.0, abs=0.02)
    finally:
        core.setConfig("Objective", "10X")
        core.setXYPosition(0.0, 0.0)
        core.setPosition(0.0)
