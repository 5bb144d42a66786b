"""The script on fields with a known light, through restarts, and with models that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.errors import CommandRefused, InvalidInput
from inscoper_mm.output.background_file import read_background
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script
from inscoper_mm.testing import simulated_shading
from inscoper_mm.testing.simulated_shading import Case, error_percent

SIDE, POSITIONS = 256, 5
CASE = Case("smooth", 0.20)


class OneObjective:
    """A context with a folder and a turret."""

    def __init__(self, folder: Path) -> None:
        self.exportPath = folder
        self.objective = "10X"
        self.lines: list[str] = []

    def log(self, message: object) -> None:
        self.lines.append(str(message))

    def getSubDevices(self, kind: str | None = None) -> list[str]:
        assert kind == "state"
        return ["Dichroic", "Objective"]

    def get(self, name: str) -> str:
        assert name == "Objective"
        return self.objective


@pytest.fixture
def context(tmp_path: Path) -> OneObjective:
    return OneObjective(tmp_path)


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Three time points of all positions."""
    return list(simulated_shading.fields(CASE, count=3 * POSITIONS, side=SIDE))


@pytest.fixture
def plan(image_of: Callable[..., Image], pictures: list[np.ndarray]) -> Callable[..., Iterator[Image]]:
    """``plan(times=3, positions=POSITIONS, **metadata)``: the images of a run, all positions first."""

    def images(times: int = 3, positions: int = POSITIONS, **metadata: Any) -> Iterator[Image]:
        about = {
            "channelName": "DAPI",
            "timeSize": times,
            "positionSize": positions,
            "camera": "A",
            "binning": 1,
        }
        for time in range(times):
            for position in range(positions):
                indices = {"timeIndex": time, "positionIndex": position}
                yield image_of(pictures[time * positions + position], **(about | indices | metadata))

    return images


def called(script: Script, image: Image, context: OneObjective) -> dict[str, Any] | None:
    assert script.provide(Images([image])) == [{}]
    return script.run(Images([image]), context)


def test_a_model_is_made_and_the_later_images_are_corrected(library, plan, context) -> None:
    script = library("background_model", save_normalized=True, camera_offset=100.0)
    answers = [called(script, image, context) for image in plan()]
    assert answers[: POSITIONS - 1] == [None] * (POSITIONS - 1)
    assert answers[POSITIONS - 1].keys() == {"background"}
    assert all(answer.keys() == {"normalized"} for answer in answers[POSITIONS:])
    background = answers[POSITIONS - 1]["background"]
    np.testing.assert_allclose(tifffile.imread(context.exportPath / "background.tif"), background)
    assert error_percent(background - 100, "smooth")[0] < 0.5
    even = np.stack([answer["normalized"] for answer in answers[POSITIONS:]])
    raw = np.stack([image.array for image in plan()][POSITIONS:]) - 100.0
    quarters = [np.quantile(stack, 0.25, axis=0) for stack in (raw, even)]
    spread = [np.std([part.mean() for part in np.array_split(rows, 8)]) / rows.mean() for rows in quarters]
    assert spread[1] < 0.3 * spread[0]
    assert not (context.exportPath / "background_fields").exists()


def test_the_corrected_images_are_published_only_if_asked_for(library, plan, context) -> None:
    script = library("background_model", camera_offset=100.0)
    answers = [called(script, image, context) for image in plan()]
    assert [number for number, answer in enumerate(answers) if answer] == [POSITIONS - 1]


def test_the_model_says_where_it_comes_from(library, plan, context) -> None:
    script = library("background_model", method="median")
    for image in plan(times=1):
        called(script, image, context)
    _, provenance = read_background(context.exportPath / "background.tif")
    assert (provenance.method, provenance.offset_from) == ("median", "estimated")
    assert (provenance.optics.channel, provenance.optics.objective) == ("DAPI", "10X")
    assert [field["positionIndex"] for field in provenance.fields] == list(range(POSITIONS))


@pytest.mark.parametrize("after", [2, POSITIONS - 1, POSITIONS, POSITIONS + 2])
def test_a_restarted_script_goes_on(library, plan, context, after: int) -> None:
    """Nothing that a worker knew is needed: its fields and its model are in the run folder."""
    values = {"save_normalized": True, "camera_offset": 100.0}
    undisturbed = library("background_model", **values)
    answers = [called(undisturbed, image, context) for image in plan()]
    elsewhere = OneObjective(context.exportPath / "again")
    script = library("background_model", **values)
    for number, image in enumerate(plan()):
        if number == after:
            script = library("background_model", **values)
        answer = called(script, image, elsewhere)
        assert (answer is None) == (answers[number] is None)
        for name in answer or {}:
            np.testing.assert_allclose(answer[name], answers[number][name])


def test_a_field_that_is_missing_at_the_end_does_not_hold_it_up(library, plan, context) -> None:
    """The last field was never taken, or its call was lost: the model is made of the others."""
    script = library("background_model", save_normalized=True, camera_offset=100.0)
    answers = [called(script, image, context) for n, image in enumerate(plan()) if n != POSITIONS - 1]
    assert answers[: POSITIONS - 1] == [None] * (POSITIONS - 1)
    assert all("normalized" in answer for answer in answers[POSITIONS - 1 :])
    assert any(f"{POSITIONS - 1} of {POSITIONS} fields" in line for line in context.lines)
    warned = [answer["metadata"]["WARNINGS"] for answer in answers[POSITIONS - 1 :] if "metadata" in answer]
    assert [text.partition(",")[0] for (text,) in warned] == [
        f"few fields: {POSITIONS - 1} of {POSITIONS}; others failed"
    ]


def test_positions_before_time_make_no_model_of_one_field(library, plan, context) -> None:
    """As with ``axis_order: ptcz``: the second image of the first position comes before the other fields."""
    script = library("background_model", camera_offset=100.0)
    images = sorted(plan(), key=lambda image: image.metadata["positionIndex"])
    called(script, images[0], context)
    for image in images[1:3]:
        with pytest.raises(InvalidInput, match="Begin axis_order with t"):
            called(script, image, context)
    assert not (context.exportPath / "background.tif").exists()


def test_a_model_of_an_earlier_run(library, plan, context) -> None:
    for image in plan(times=1):
        called(library("background_model", camera_offset=100.0), image, context)
    file = context.exportPath / "background.tif"
    later = OneObjective(context.exportPath / "later")
    script = library("background_model", model=str(file), save_normalized=True)
    answers = [called(script, image, later) for image in plan(times=1)]
    assert all(answer.keys() == {"normalized"} for answer in answers)
    assert not (later.exportPath / "background.tif").exists()


@pytest.mark.parametrize("change", ["channel", "objective", "pixel size"])
def test_a_model_of_other_light_is_refused(library, plan, context, change: str) -> None:
    script = library("background_model", camera_offset=100.0)
    for image in plan(times=1):
        called(script, image, context)
    other = {"channel": {"channelName": "FITC"}, "pixel size": {"pixelSize_um": 0.25}}.get(change, {})
    if change == "objective":
        context.objective = "40X"
    script = library("background_model", model=str(context.exportPath / "background.tif"))
    with pytest.raises(InvalidInput, match=f"another {change}"):
        called(script, next(plan(times=1, **other)), context)


def test_images_from_elsewhere_have_no_objective(library, plan, context) -> None:
    def refused(kind: str) -> list[str]:
        raise CommandRefused("a replay has no microscope")

    context.getSubDevices = refused
    script = library("background_model", camera_offset=100.0)
    assert "background" in [called(script, image, context) for image in plan(times=1)][-1]
    _, provenance = read_background(context.exportPath / "background.tif")
    assert provenance.optics.objective is None


def test_one_position_learns_over_time(library, plan, context) -> None:
    script = library("background_model", time_points=6, camera_offset=100.0, save_normalized=True)
    answers = [called(script, image, context) for image in plan(times=8, positions=1)]
    assert answers[:5] == [None] * 5
    assert "background" in answers[5]
    assert "normalized" in answers[6]


def test_the_middle_slice_of_a_stack_is_the_field(library, plan, context, image_of) -> None:
    script = library("background_model", camera_offset=100.0)
    slices = [
        image_of(image.array, **dict(image.metadata) | {"focusIndex": focus, "focusSize": 3})
        for image in plan(times=1)
        for focus in range(3)
    ]
    answers = [called(script, image, context) for image in slices]
    assert "background" in answers[-1]
    assert answers[:-1] == [None] * (3 * POSITIONS - 1)
    _, provenance = read_background(context.exportPath / "background.tif")
    assert [field["focusIndex"] for field in provenance.fields] == [1] * POSITIONS


def test_images_of_the_cameras_type(library, plan, context) -> None:
    script = library("background_model", result="camera", save_normalized=True, camera_offset=100.0)
    answers = [called(script, image, context) for image in plan(times=2)]
    assert answers[-1]["normalized"].dtype == np.uint16


def test_cells_are_masked_if_asked_for(library, plan, context) -> None:
    script = library("background_model", mask_cells=True, camera_offset=100.0)
    answers = [called(script, image, context) for image in plan(times=1)]
    assert error_percent(answers[-1]["background"] - 100, "smooth")[0] < 2


def test_added_images_and_other_channels_are_left_alone(library, image_of) -> None:
    provide = library("background_model").provide
    image = np.zeros((8, 8), np.uint16)
    assert not provide(Images([image_of(image, channelIndex=1, channelSize=2)]))
    assert not provide(Images([image_of(image, addedBy="zoom", label="cell 1")]))
    assert provide(Images([image_of(image)]))
