"""The script on living specimens with known truth: through drift, jumps, gaps, restarts and calls that come again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script
from inscoper_mm.specimen import (
    ORIENTATIONS,
    Death,
    Division,
    Drift,
    Jump,
    Motion,
    Specimen,
    SpecimenParameters,
    Time,
    View,
)
from inscoper_mm.specimen.parameters import Brightfield

NAME = "cell_population_tracking"
SIDE, FRAME_S = 384, 300.0
JUMP_AT = 5
MOTION = Motion(1.0, 0.5, 20.0)
DRIFTING = Specimen(
    SpecimenParameters(
        seed=11,
        cells_per_mm2=300,
        time=Time(per_image_s=FRAME_S),
        motion=MOTION,
        division=Division(cycle_h=4, mitosis_min=20),
        death=Death(per_h=0.02),
        drift=Drift(x_um_per_s=0.008, y_um_per_s=-0.006),
        jumps=(Jump(JUMP_AT, 36.0, -20.0),),
    )
)
AXES = ("time", "position", "channel", "focus")


@dataclass
class Seen:
    """An image with the truth about it: the cell at each pixel, and where each one is and comes from."""

    image: Image
    ids: np.ndarray
    cells: dict[str, Any]
    names: list[str]


def seen(
    specimen: Specimen,
    number: int,
    x_um: float = 0.0,
    z_um: float = 0.0,
    channel: str = "DAPI",
    mount: str = "upright",
) -> Seen:
    roi, time_s = (0, 0, SIDE, SIDE), number * FRAME_S
    orientation = ORIENTATIONS[mount]
    view = View(x_um, 0.0, z_um, channel, 20.0, roi=roi, image=number, time_s=time_s, orientation=orientation)
    truth = specimen.truth(view)
    (x0, y0), (x_col, y_col), (x_row, y_row) = (view.to_stage(*pixel) for pixel in ((0, 0), (0, 1), (1, 0)))
    about = {f"{axis}{kind}": value for axis in AXES for kind, value in (("Index", 0), ("Size", 1))}
    about |= {
        "timeIndex": number,
        "timeSize": 100,
        "channelName": channel,
        "positionName": f"at {x_um:g}",
        "pixelSize_um": 1.0,
        "pixelToStage_um": [x_col - x0, x_row - x0, x0, y_col - y0, y_row - y0, y0],
        "zPosition_um": z_um,
        "elapsedTime_ms": 1000.0 * FRAME_S * number,
        "bitDepth": 16,
    }
    names = [cell.id for cell in truth.cells]
    cells = {cell.id: cell for cell in truth.cells}
    return Seen(Image(about, specimen.render(view)), truth.visible, cells, names)


def told(image: Image, **metadata: Any) -> Image:
    """The image with other metadata."""
    return Image(dict(image.metadata) | metadata, image.array)


class Context:
    """What a call gets: copies of what was accepted before."""

    def __init__(self, folder: Path, state: dict[str, Any], run_state: dict[str, Any]) -> None:
        self.exportPath = folder
        self.state, self.runState = copy.deepcopy(state), copy.deepcopy(run_state)
        self.lines: list[str] = []

    def log(self, message: object) -> None:
        self.lines.append(str(message))


@dataclass
class Host:
    """Calls the script, and keeps what it has said if the call is accepted."""

    load: Callable[[], Script]
    folder: Path
    states: dict[int, dict[str, Any]] = field(default_factory=dict)
    run_state: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.script = self.load()

    def call(self, *images: Image, accept: bool = True) -> dict[str, Any]:
        position = images[0].metadata["positionIndex"]
        context = Context(self.folder, self.states.get(position, {}), self.run_state)
        assert self.script.provide(Images([images[-1]])) != []
        answer = self.script.run(Images(list(images)), context)
        if accept:
            self.states[position], self.run_state = context.state, context.runState
            self.answers.append(answer)
        return answer

    def film(self, frames: Iterable[Seen]) -> Host:
        for frame in frames:
            self.call(frame.image)
        return self


@pytest.fixture
def host(library: Callable[..., Script], tmp_path: Path) -> Callable[..., Host]:
    """``host(**parameters)``: one that calls the script, in a folder of its own."""
    count = iter(range(100))

    def make(**parameters: Any) -> Host:
        values = {"save_tracks": True, "time_step_s": FRAME_S} | parameters
        return Host(lambda: library(NAME, **values), tmp_path / str(next(count)))

    return make


def tracks_of(frame: Seen, answer: dict[str, Any]) -> dict[str, int]:
    """The track that each true cell was found as: the label that has most of it, and more than half."""
    found = {}
    for label, name in enumerate(frame.names, 1):
        here = answer["segmentation"][frame.ids == label]
        if here.size:
            track = int(np.bincount(here).argmax())
            if track and 2 * np.count_nonzero(here == track) > here.size:
                found[name] = track
    return found


def right_links(frames: list[Seen], answers: list[dict[str, Any]]) -> np.ndarray:
    """By step from image to image: the share of the true cells found in both that keep their track."""
    places = [tracks_of(*pair) for pair in zip(frames, answers, strict=True)]
    pairs = list(pairwise(places))
    return np.array(
        [np.mean([now[name] == was[name] for name in now.keys() & was.keys()]) for was, now in pairs]
    )


def same_but_for_numbers(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether the label images tell the same tracks, whatever their numbers."""
    pairs = {
        pair
        for left, right in zip(one, other, strict=True)
        for pair in zip(
            left["tracks"]["track_id"].tolist(), right["tracks"]["track_id"].tolist(), strict=True
        )
    }
    return len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


@pytest.fixture(scope="session")
def frames() -> list[Seen]:
    """Ten images of a growing culture that drifts, and jumps before the sixth."""
    return [seen(DRIFTING, number) for number in range(10)]


@pytest.fixture(scope="session")
def answers(library, frames, tmp_path_factory) -> list[dict[str, Any]]:
    """What the script says to them."""
    folder = tmp_path_factory.mktemp("whole")
    return Host(lambda: library(NAME, save_tracks=True, time_step_s=FRAME_S), folder).film(frames).answers


def test_cells_keep_their_tracks_through_drift_and_a_jump(answers, frames) -> None:
    links = right_links(frames, answers)
    assert links.mean() >= 0.98, links
    assert links[JUMP_AT - 1] >= 0.95
    # The jump and the drift of five minutes, within what the cells do on their own.
    drift = np.diff([answer["metadata"]["DRIFT_UM"] for answer in answers], axis=0)
    assert drift[JUMP_AT - 1] == pytest.approx([36 + 2.4, -20 - 1.8], abs=1.0)


def test_without_compensation_the_jump_breaks_them(host, frames) -> None:
    answers = host(compensate_drift=False).film(frames).answers
    links = right_links(frames, answers)
    assert links[JUMP_AT - 1] < 0.5
    assert any("tracks broken" in text for text in answers[JUMP_AT]["metadata"]["WARNINGS"])
    assert all(answer["metadata"]["DRIFT_UM"] == [0, 0] for answer in answers)


def test_daughters_name_their_mother(answers, frames) -> None:
    mothers, told_right, told, known = {}, 0, 0, {0}
    for frame, answer in zip(frames, answers, strict=True):
        tracks = tracks_of(frame, answer)
        parents = dict(zip(answer["tracks"]["track_id"], answer["tracks"]["parent_id"], strict=True))
        for name, track in tracks.items():
            if parents[track]:
                told += 1
                told_right += mothers.get(frame.cells[name].parent) == parents[track]
        mothers |= tracks
        # napari draws no parent that it has not seen.
        known |= set(parents)
        assert set(parents.values()) <= known
    assert told_right > 0
    assert told_right >= 0.8 * told


def test_positions_in_turn_are_followed_as_if_each_were_alone(host, answers, frames) -> None:
    other = [seen(DRIFTING, number, 700.0) for number in range(4)]
    alone = [answers[:4], host().film(other).answers]
    turns = host()
    for here, there in zip(frames, other, strict=False):
        turns.call(here.image)
        turns.call(told(there.image, positionIndex=1))
    assert same_but_for_numbers(turns.answers[0::2], alone[0])
    assert same_but_for_numbers(turns.answers[1::2], alone[1])
    ids = [set(np.concatenate([a["tracks"]["track_id"] for a in turns.answers[k::2]])) for k in (0, 1)]
    assert not ids[0] & ids[1]


def test_a_process_that_is_restarted_goes_on(host, answers, frames) -> None:
    broken = host()
    for frame in frames[:7]:
        broken.script = broken.load()
        broken.call(frame.image)
    for one, other in zip(answers, broken.answers, strict=False):
        assert np.array_equal(one["segmentation"], other["segmentation"])
        assert one["timeseries"] == other["timeseries"]


def test_a_call_that_comes_to_nothing_or_comes_again_changes_nothing(host, answers, frames) -> None:
    other = host()
    for number, frame in enumerate(frames[:5]):
        other.call(frame.image, accept=False)
        first = other.call(frame.image)
        again = other.call(frame.image, accept=number % 2 == 0)
        for answer in (first, again):
            assert np.array_equal(answer["segmentation"], answers[number]["segmentation"])
            assert answer["metadata"] == answers[number]["metadata"]
    assert len(list(other.folder.glob("tracking/*.npz"))) <= 3


def test_images_that_are_missing_break_no_tracks(host, frames) -> None:
    kept = [frame for number, frame in enumerate(frames) if number not in (2, 6)]
    links = right_links(kept, host().film(kept).answers)
    assert links.mean() >= 0.95, links


def test_places_are_those_of_the_stage_with_and_without_drift(answers, frames) -> None:
    table = answers[-1]["tracks"]
    rows, cols = table["row_px"], table["col_px"]
    inside = answers[-1]["segmentation"][rows.round().astype(int), cols.round().astype(int)]
    assert np.mean(inside == table["track_id"]) > 0.95
    a, b, tx, c, d, ty = frames[-1].image.metadata["pixelToStage_um"]
    assert np.allclose(table["x_um"], a * cols + b * rows + tx)
    assert np.allclose(table["y_um"], c * cols + d * rows + ty)
    drift = np.array(answers[-1]["metadata"]["DRIFT_UM"])
    assert np.allclose(table["x_um"] - table["x_corrected_um"], drift[0], atol=1e-3)
    assert drift == pytest.approx([36 + 9 * 2.4, -20 - 9 * 1.8], abs=3.0)


@pytest.mark.parametrize("mount", ["upright", "mirrored_rotated_90"])
def test_a_stage_that_was_moved_on_purpose_is_no_drift(host, mount: str) -> None:
    still = Specimen(SpecimenParameters(seed=5, cells_per_mm2=300, time=Time(per_image_s=FRAME_S)))
    film = [seen(still, number, 40.0 * number, mount=mount) for number in range(3)]
    answers = host().film(film).answers
    assert right_links(film, answers).min() == 1
    assert np.abs([answer["metadata"]["DRIFT_UM"] for answer in answers]).max() < 0.1
    assert answers[-1]["timeseries"]["median_speed"][0] < 0.05


def test_the_series_are_those_of_the_true_cells(answers, frames) -> None:
    """Speeds and squared displacements of the true cells, of which about as many are found."""
    for number in (3, 9):
        was, now, first = frames[number - 1].cells, frames[number].cells, frames[0].cells
        moved = specimen_moves(number) - specimen_moves(number - 1)
        steps = [np.hypot(*(place(now[n]) - place(was[n]) - moved)) for n in now.keys() & was.keys()]
        away = [
            np.hypot(*(place(now[n]) - place(first[n]) - specimen_moves(number)))
            for n in now.keys() & first.keys()
        ]
        series = answers[number]["timeseries"]
        assert series["mean_speed"][1] == "µm/min"
        assert series["mean_speed"][0] == pytest.approx(np.mean(steps) / 5, rel=0.15)
        assert series["median_speed"][0] == pytest.approx(np.median(steps) / 5, rel=0.2)
        assert series["msd_since_first"] == [pytest.approx(np.mean(np.square(away)), rel=0.3), "µm²"]
    assert answers[0]["timeseries"]["mean_speed"] == [None, "µm/min"]


def place(cell: Any) -> np.ndarray:
    return np.array([cell.x_um, cell.y_um])


def specimen_moves(number: int) -> np.ndarray:
    return np.array(DRIFTING.displacement_um(number, number * FRAME_S)[:2])


def test_a_stack_gives_heights_and_volumes(host) -> None:
    drift = Drift(x_um_per_s=0.01, z_um_per_s=0.002)
    time = Time(per_image_s=FRAME_S)
    sinking = Specimen(SpecimenParameters(seed=3, cells_per_mm2=200, time=time, motion=MOTION, drift=drift))
    heights = np.arange(-3.0, 3.1, 1.5)
    film = [[seen(sinking, number, z_um=z) for z in heights] for number in range(3)]
    tracking = host(diameter_um=12)
    for number, stack in enumerate(film):
        images = [told(each.image, focusIndex=k, focusSize=5) for k, each in enumerate(stack)]
        answer = tracking.call(*images)
        table = answer["tracks"]
        assert answer["segmentation_stack"].shape == (5, SIDE, SIDE)
        assert np.median(table["z_um"]) == pytest.approx(0.6 * number, abs=0.15)
        assert table["volume_um3"] == pytest.approx(1.5 * table["volume_px"])
        assert answer["timeseries"]["mean_volume"][1] == "µm³"
    assert right_links([stack[2] for stack in film], tracking.answers).min() >= 0.95
    flat = host(z_stack="projection").call(*images)
    assert "z_um" not in flat["tracks"]
    assert flat["metadata"]["NBR_OF_CELLS"] == pytest.approx(answer["metadata"]["NBR_OF_CELLS"], rel=0.1)


def test_an_image_without_cells_is_told_and_the_tracks_outlive_it(host, frames, empty_image) -> None:
    dark = np.zeros_like(frames[3].image.array) + 100
    film = [frame.image for frame in frames[:5]]
    film[3] = Image(film[3].metadata, dark)
    tracking = host()
    answers = [tracking.call(image) for image in film]
    assert answers[3]["metadata"]["NBR_OF_CELLS"] == 0
    assert answers[3]["metadata"]["WARNINGS"][0].startswith("nothing found: ")
    assert answers[3]["timeseries"]["mean_area"] == [None, "µm²"]
    before, after = tracks_of(frames[2], answers[2]), tracks_of(frames[4], answers[4])
    assert np.mean([after[name] == before[name] for name in after.keys() & before.keys()]) >= 0.9


def test_tracks_are_only_told_if_asked_for(host, frames) -> None:
    assert "tracks" not in host(save_tracks=False).call(frames[0].image)
    alone = host(min_area_um2=60).call(frames[0].image)["tracks"]
    assert alone["area_um2"].min() >= 60
    assert set(host().call(frames[0].image)["tracks"]["area_um2"]) > set(alone["area_um2"])


def test_transparent_cells_are_followed_in_single_images_only(host) -> None:
    light = Brightfield(channels=("Rhodamine",))
    living = SpecimenParameters(
        seed=4, cells_per_mm2=200, time=Time(per_image_s=FRAME_S), motion=MOTION, brightfield=light
    )
    film = [seen(Specimen(living), number, z_um=-4.0, channel="Rhodamine") for number in range(3)]
    tracking = host(objects="phase").film(film)
    assert right_links(film, tracking.answers).min() >= 0.95
    assert not any("dim" in text for answer in tracking.answers for text in answer["metadata"]["WARNINGS"])
    with pytest.raises(InvalidInput, match="single images"):
        tracking.call(*(told(frame.image, focusIndex=k, focusSize=3) for k, frame in enumerate(film)))
