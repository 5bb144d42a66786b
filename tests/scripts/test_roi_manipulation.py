"""roi_manipulation, called as a run calls it: which regions it makes of its parameters, and when it fires at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.analysis.regions import region_of, united
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.errors import CommandRefused, InvalidInput
from inscoper_mm.scripting.image import Images

SCRIPT = "roi_manipulation"


class FiringContext:
    """A context that notes what is fired at."""

    def __init__(self, folder: Path) -> None:
        self.state: dict[str, Any] = {}
        self.exportPath = folder
        self.lines: list[str] = []
        self.fired: list[Any] = []
        self.broken = False

    def log(self, message: object) -> None:
        self.lines.append(str(message))

    def fireOnDemand(self, roi: list[dict[str, Any]]) -> dict[str, Any]:
        self.fired.append(roi)
        if self.broken:
            raise CommandRefused("the galvo does not answer")
        return {
            "begin_s": 100.0,
            "end_s": 101.0,
            "elapsedTime_ms": 3e3,
            "regions": [{"time_ms": 5.0} for _ in roi],
        }


@pytest.fixture
def call(library: Callable[..., Any], view_of: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``call(times, **parameters)``: the answers to images of these time points, and the context."""
    pixels = view_of(1, "FITC")[0].array
    context = FiringContext(tmp_path)

    def run(times: range | list[int], image_of: Callable[..., Any], **parameters: Any) -> Any:
        script = library(SCRIPT, **parameters)
        answers = [
            script.run(
                Images(
                    [
                        image_of(
                            pixels, timeIndex=time, timeSize=20, elapsedTime_ms=1e3 * time, exposure_ms=20.0
                        )
                    ]
                ),
                context,
            )
            for time in times
        ]
        return answers, context, pixels

    return run


@pytest.mark.parametrize(
    ("shape", "more", "area_px"),
    [
        ("circle", {}, np.pi * 9),
        ("ellipse", {"width_um": 4.0}, np.pi * 6),
        ("rectangle", {"width_um": 4.0, "rotation_deg": 30.0}, 24),
        ("line", {"rotation_deg": 90.0}, 0),
    ],
)
def test_a_shape_is_where_and_what_was_asked_for(
    call: Any, image_of: Any, shape: str, more: dict[str, float], area_px: float
) -> None:
    row, col = _a_cell(call, image_of)
    asked = {"target": "shape", "shape": shape, "row_px": row, "col_px": col, "size_um": 6.0, **more}
    (answer,), context, pixels = call([0], image_of, **asked)
    region = united([region_of(roi) for roi in answer["roi"]])
    assert region.centre == pytest.approx((row, col), abs=1e-6)
    assert region.area_px == pytest.approx(area_px, rel=0.01)
    if shape == "line":
        assert region.bounds == pytest.approx((row, col - 3, row, col + 3))
    assert answer["image"].shape == pixels.shape and (answer["image"] != pixels).any()
    assert not context.fired


def test_a_polygon_is_fired_at_as_it_is_given(call: Any, image_of: Any) -> None:
    row, col = _a_cell(call, image_of)
    text = f"{row - 4},{col - 4} {row - 4},{col + 4.25} {row + 5.125},{col}"
    (answer,), context, _ = call([0], image_of, target="shape", shape="polygon", vertices_px=text, fire_at=0)
    corners = [[row - 4, col - 4], [row - 4, col + 4.25], [row + 5.125, col]]
    assert answer["roi"] == [{"type": "polygon", "points": corners, "unit": "px"}]
    assert context.fired == [answer["roi"]]


def _a_cell(call: Any, image_of: Any) -> tuple[float, float]:
    """The middle of the spot of the cell that is nearest to the middle."""
    (answer,), context, _ = call([0], image_of)
    context.state.clear()
    (context.exportPath / "recovery.csv").unlink()
    (roi,) = answer["roi"]
    row, col = roi["points"][0]
    return row, col


def test_parts_of_several_cells(call: Any, image_of: Any) -> None:
    (answer,), _, pixels = call([0], image_of, most_cells=5, part="rim", size_um=2.0)
    labels = segment_cells(pixels)
    regions = [region_of(roi) for roi in answer["roi"]]
    under = {int(np.bincount(labels[region.mask(labels.shape)]).argmax()) for region in regions}
    # A rim has a hole, so it comes in two halves.
    assert len(regions) >= 10 and len(under) == 5


def test_it_fires_once_at_what_it_publishes(call: Any, image_of: Any) -> None:
    answers, context, _ = call(range(8), image_of, most_cells=3, fire_at=4)
    assert context.fired == [answers[4]["roi"]] and len(answers[4]["roi"]) == 3
    assert all(answer["roi"] == answers[0]["roi"] for answer in answers)
    # One after the other, in one second, of which the last has just ended.
    assert context.state["fired_s"] == pytest.approx([3 - 2 / 3, 3 - 1 / 3, 3.0])


def test_it_does_not_fire_if_it_is_told_not_to(call: Any, image_of: Any) -> None:
    answers, context, _ = call([0, 1, 4, *range(6, 14), 19], image_of, fire=False, fire_at=4)
    assert not context.fired
    assert answers[-1]["metadata"]["MOBILE_FRACTIONS"] == [None]
    assert "nothing was bleached" in answers[-1]["metadata"]["REFUSED"][0]
    assert answers[-1]["metadata"]["WARNINGS"] == [f"no recovery: {answers[-1]['metadata']['REFUSED'][0]}"]
    assert context.lines == [f"Cell 1: refused: {answers[-1]['metadata']['REFUSED'][0]}"]
    assert (context.exportPath / "recovery.png").exists()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, [{}]),
        ({"focusIndex": 1, "focusSize": 3}, [{}]),
        ({"focusIndex": 0, "focusSize": 3}, []),
        ({"focusIndex": 2, "focusSize": 3}, []),
        ({"channelIndex": 1}, []),
        ({"addedBy": "scan_and_zoom"}, []),
    ],
)
def test_it_asks_for_planned_images_and_the_middle_slice_of_a_stack(
    library: Any, image_of: Any, about: dict[str, Any], expected: list[Any]
) -> None:
    pixels = np.zeros((4, 4), np.uint16)
    assert library(SCRIPT).module.fetch_images(Images([image_of(pixels, **about)]), 0) == expected


@pytest.mark.parametrize(("time_points", "fire_at"), [(20, 19), (20, 300), (1, 0)])
def test_a_fire_that_no_image_would_follow_is_refused_at_the_first_call(
    library: Any, view_of: Any, image_of: Any, tmp_path: Path, time_points: int, fire_at: int
) -> None:
    allowed = f"Allowed: 0 to {time_points - 2}" if time_points > 1 else "take more time points"
    pixels, context = view_of(1, "FITC")[0].array, FiringContext(tmp_path)
    images = Images([image_of(pixels, elapsedTime_ms=0.0, exposure_ms=20.0, timeSize=time_points)])
    with pytest.raises(
        InvalidInput, match=rf"'fire_at': there are {time_points} .*Got: {fire_at}\..*{allowed}"
    ):
        library(SCRIPT, fire_at=fire_at).run(images, context)
    # Without a fire the regions are still made and measured.
    assert library(SCRIPT, fire_at=fire_at, fire=False).run(images, context)["roi"]


def test_if_the_image_of_the_fire_is_lost_it_fires_after_the_next_one(call: Any, image_of: Any) -> None:
    _, context, _ = call([0, 1, 2, 6, *range(7, 20)], image_of, fire_at=4)
    assert len(context.fired) == 1 and context.state["fired_after"] == 6
    # The image that was fired after is one of those before the fire: it has no fit.
    rows = (context.exportPath / "recovery.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows[1:] if row.endswith(",")][:4] == ["0", "1", "2", "6"]


def test_it_does_not_fire_after_the_last_image(call: Any, image_of: Any) -> None:
    answers, context, _ = call([0, 1, 19], image_of, fire_at=4)
    assert not context.fired
    assert list(answers[-1]["metadata"]) == ["WARNINGS"]
    (warning,) = answers[-1]["metadata"]["WARNINGS"]
    assert warning.startswith("nothing fitted: ") and "time point 4" in warning


def test_a_fire_that_fails_is_not_tried_again(call: Any, image_of: Any) -> None:
    _, context, _ = call(range(4), image_of, fire_at=4)
    before, context.broken = dict(context.state), True
    with pytest.raises(CommandRefused):
        call([4], image_of, fire_at=4)
    # A run forgets what a failed call has left in the state.
    context.state, context.broken = before, False
    answers, _, _ = call([5, 6, 19], image_of, fire_at=4)
    assert len(context.fired) == 1
    assert "nothing fitted" in answers[-1]["metadata"]["WARNINGS"][0]


def test_images_without_times_need_seconds_per_image(
    library: Any, view_of: Any, image_of: Any, tmp_path: Path
) -> None:
    images = Images(
        [image_of(view_of(1, "FITC")[0].array, elapsedTime_ms=None, exposure_ms=None, timeSize=20)]
    )
    with pytest.raises(ValueError, match="give seconds_per_image"):
        library(SCRIPT).run(images, FiringContext(tmp_path))
    context = FiringContext(tmp_path)
    library(SCRIPT, seconds_per_image=2.0, fire_at=0).run(images, context)
    assert context.state["fired_s"] == [0.0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"row_px": -3.0}, "outside the image"),
        ({"row_px": 510.0, "size_um": 50.0}, "outside the image"),
        ({"size_um": 0.011, "row_px": 3.0, "col_px": 3.0}, "on no cell"),
        ({"shape": "polygon", "vertices_px": "1,2 3"}, "no corners"),
    ],
)
def test_a_region_that_cannot_be_measured_is_refused_before_anything_is_fired(
    call: Any, image_of: Any, more: dict[str, float], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        call([0], image_of, target="shape", fire_at=0, **more)
