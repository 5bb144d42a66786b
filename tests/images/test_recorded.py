"""Data sets of other programs: what is read of them, and what is told where nothing can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.errors import InvalidInput
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.numbering import number
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.images.recording import Given

NUMBERINGS = {
    "numbers stay as they are": (
        [{"time": 0, "channel": 1}, {"time": 2, "channel": 1}],
        [Index(0, 0, 1), Index(2, 0, 1)],
    ),
    "names are numbered as they come": (
        [{"channel": "FITC"}, {"channel": "DAPI"}, {"channel": "FITC", "time": 1}],
        [Index(0, 0, 0), Index(0, 0, 1), Index(1, 0, 0)],
    ),
    "slices count within their stack, below zero too": (
        [{"z": -2}, {"z": 0}, {"z": 3}],
        [Index(focus=0), Index(focus=1), Index(focus=2)],
    ),
    "a channel without a stack has one slice": (
        [{"channel": 0, "z": at} for at in range(3)] + [{"channel": 1, "z": 1}],
        [Index(0, 0, 0, 0), Index(0, 0, 0, 1), Index(0, 0, 0, 2), Index(0, 0, 1, 0)],
    ),
    "rows and columns are positions": (
        [{"row": 4, "column": 2}, {"row": 4, "column": 3}, {"row": 4, "column": 2, "time": 1}],
        [Index(0, 0), Index(0, 1), Index(1, 0)],
    ),
    "an axis that stays the same is none": (
        [{"time": at, "Camera": "A", "TertiaryZ": 0} for at in range(2)],
        [Index(0), Index(1)],
    ),
    "large letters are the same axes": (
        [{"Z": 0, "T": 1}, {"Z": 5, "T": 1}],
        [Index(1, 0, 0, 0), Index(1, 0, 0, 1)],
    ),
}


@pytest.mark.parametrize("case", NUMBERINGS)
def test_axes_become_indices(case: str) -> None:
    planes, wanted = NUMBERINGS[case]
    assert list(number(planes).order) == wanted


def test_sizes_are_those_of_each_stack() -> None:
    planes = NUMBERINGS["a channel without a stack has one slice"][0]
    assert number(planes).sizes == {(0, 0): Sizes(1, 1, 2, 3), (0, 1): Sizes(1, 1, 2, 1)}


def test_positions_are_named_after_what_they_are() -> None:
    tiles = number([{"row": 4, "column": 2}, {"row": 5, "column": 3}])
    assert tiles.positions == {0: "row 4 column 2", 1: "row 5 column 3"}
    assert number([{"position": "B"}, {"position": "A"}]).positions == {0: "B", 1: "A"}


# -- TIFF stacks

STACK = np.arange(2 * 3 * 2 * 8 * 9, dtype=np.uint16).reshape(2, 3, 2, 8, 9)  # T Z C Y X


def _ome(path: Path) -> None:
    planes = {
        "DeltaT": [0.5 * at for at in range(12)],
        "ExposureTime": [25.0] * 12,
        "ExposureTimeUnit": ["ms"] * 12,
        "PositionX": [12.5] * 12,
        "PositionY": [-3.0] * 12,
        "PositionZ": [float(at // 2 % 3) for at in range(12)],
    }
    metadata = {
        "axes": "TZCYX",
        "Channel": {"Name": ["DAPI", "FITC"]},
        "PhysicalSizeX": 650.0,
        "PhysicalSizeXUnit": "nm",
        "Plane": planes,
    }
    tifffile.imwrite(path, STACK, metadata=metadata, ome=True)


def _imagej(path: Path) -> None:
    tifffile.imwrite(
        path,
        STACK,
        imagej=True,
        resolution=(1 / 0.65, 1 / 0.65),
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 1.5, "finterval": 30.0},
    )


def _plain(path: Path) -> None:
    tifffile.imwrite(path, STACK)  # with the sizes of the axes, not their names


def _row(path: Path) -> None:
    tifffile.imwrite(path, STACK, metadata=None)


def _compressed(path: Path) -> None:
    tifffile.imwrite(path, STACK, metadata={"axes": "TZCYX"}, ome=True, compression="zlib")


STACKS: dict[str, tuple[Callable[[Path], None], str | None]] = {
    "ome.tif": (_ome, None),
    "imagej.tif": (_imagej, None),
    "plain.tif": (_plain, "TZCYX"),
    "row.tif": (_row, "T2Z3CYX"),
    "compressed.ome.tif": (_compressed, None),
}


@pytest.mark.parametrize("name", STACKS)
def test_every_plane_of_a_stack_is_found_at_its_index(name: str, tmp_path: Path) -> None:
    write, axes = STACKS[name]
    write(tmp_path / name)
    recording = open_recording(tmp_path / name, Given(axes=axes))
    try:
        assert len(recording.order) == 12
        # Time points first, then channels, then slices.
        assert recording.order[:4] == (
            Index(0, 0, 0, 0),
            Index(0, 0, 0, 1),
            Index(0, 0, 0, 2),
            Index(0, 0, 1, 0),
        )
        for index in recording.order:
            frame = recording.read(index)
            np.testing.assert_array_equal(frame.pixels, STACK[index.time, index.focus, index.channel])
            assert frame.pixels.dtype == np.uint16
            assert frame.info.sizes == Sizes(2, 1, 2, 3)
    finally:
        recording.close()


def _info(path: Path, index: Index, **given: Any) -> Any:
    recording = open_recording(path, Given(**given))
    try:
        return recording.read(index).info
    finally:
        recording.close()


def test_what_an_ome_file_says_is_known_and_nothing_else(tmp_path: Path) -> None:
    _ome(tmp_path / "a.ome.tif")
    info = _info(tmp_path / "a.ome.tif", Index(1, 0, 1, 2))
    assert info.channel_name == "FITC"
    assert info.pixel_size_um == pytest.approx(0.65)
    assert info.exposure_ms == 25.0
    assert info.elapsed_ms == 5500.0
    assert (info.real.x_um, info.real.y_um, info.real.z_um) == (12.5, -3.0, 2.0)
    assert (info.binning, info.bit_depth, info.camera) == (None, None, "")
    assert info.pixel_to_stage_um is None


def test_what_imagej_says_is_planned_not_measured(tmp_path: Path) -> None:
    _imagej(tmp_path / "a.tif")
    info = _info(tmp_path / "a.tif", Index(1, 0, 0, 2))
    assert (info.planned.z_um, info.real.z_um) == (3.0, None)
    assert info.pixel_size_um == pytest.approx(0.65)
    assert info.elapsed_ms == 30_000.0
    assert info.channel_name is None
    assert _info(tmp_path / "a.tif", Index(1, 0, 0, 2), planned_as_real=True).real.z_um == 3.0


def test_what_the_user_says_completes_a_bare_stack(tmp_path: Path) -> None:
    _plain(tmp_path / "a.tif")
    bare = _info(tmp_path / "a.tif", Index(1, 0, 1, 2), axes="tzcyx")
    assert (bare.pixel_size_um, bare.elapsed_ms, bare.real.z_um) == (None, None, None)
    given = {"axes": "TZCYX", "pixel_size_um": 0.5, "z_step_um": 2.0, "interval_s": 10.0}
    info = _info(tmp_path / "a.tif", Index(1, 0, 1, 2), **given)
    assert (info.pixel_size_um, info.elapsed_ms, info.real.z_um) == (0.5, 10_000.0, 4.0)


def test_colour_has_three_samples(tmp_path: Path) -> None:
    colour = np.arange(2 * 6 * 7 * 3, dtype=np.uint8).reshape(2, 6, 7, 3)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", metadata={"axes": "TYXS"}, ome=True)
    recording = open_recording(tmp_path / "c.tif")
    np.testing.assert_array_equal(recording.read(Index(1)).pixels, colour[1])
    recording.close()


WRONG_AXES = {
    "TYX": "do not fit the file, which has the shape (2, 3, 2, 8, 9)",
    "T3ZCYX": "do not fit the file",
    "T5Z2YX": "do not fit the file",
    "TZC-YX": "these are not axes",
    "TZQYX": "these are not axes",
    "TTZYX": "an axis is named twice",
    "YXTZC": "not stored one after the other",
    None: "does not say what its axes are",
}


@pytest.mark.parametrize("axes", WRONG_AXES)
def test_axes_that_do_not_fit_are_told(axes: str | None, tmp_path: Path) -> None:
    _plain(tmp_path / "a.tif")
    with pytest.raises(InvalidInput) as told:
        open_recording(tmp_path / "a.tif", Given(axes=axes))
    assert WRONG_AXES[axes] in str(told.value)


def test_a_stack_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _imagej(path)
    with tifffile.TiffFile(path) as whole:
        begin = whole.series[0].dataoffset
    path.write_bytes(path.read_bytes()[: begin + STACK.nbytes - 10])
    with pytest.raises(InvalidInput, match="it says that it has 12 images, and 1 can be read"):
        open_recording(path)


# -- Micro-Manager's file sets


def _file_set(folder: Path, end: str = "}") -> None:
    """Two time points, two channels, as version 2.0 writes them."""
    folder.mkdir()
    content: dict[str, Any] = {"Summary": {"ChNames": ["DAPI", "FITC"]}}
    for number_, (time, channel) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        name = f"img_channel{channel:03d}_position000_time{time:09d}_z000.tif"
        tifffile.imwrite(folder / name, np.full((8, 8), number_, np.uint16))
        content[f"Coords-Default/{name}"] = {"position": 0, "time": time, "z": 0, "channel": channel}
        content[f"Metadata-Default/{name}"] = {
            "Channel": "FITC" if channel else "DAPI",
            "Exposure-ms": 20.0,
            "XPositionUm": 1.5,
            "YPositionUm": 2.5,
            "ZPositionUm": -4.0,
            "ElapsedTime-ms": 100.0 * number_,
            "PixelSizeUm": 0,
            "Binning": "2",
        }
    text = json.dumps(content)
    (folder / "metadata.txt").write_text(text[:-1] + end, encoding="utf-8")


@pytest.mark.parametrize("end", ["}", "", ","])
def test_a_file_set_is_read_finished_or_not(tmp_path: Path, end: str) -> None:
    _file_set(tmp_path / "set", end)
    recording = open_recording(tmp_path / "set")
    assert recording.order == (Index(0, 0, 0), Index(0, 0, 1), Index(1, 0, 0), Index(1, 0, 1))
    assert bool(recording.notes) == (end != "}")
    frame = recording.read(Index(1, 0, 1))
    assert (frame.pixels == 3).all()
    info = frame.info
    assert (info.channel_name, info.exposure_ms, info.elapsed_ms, info.binning) == ("FITC", 20.0, 300.0, 2)
    assert (info.real.x_um, info.real.y_um, info.real.z_um) == (1.5, 2.5, -4.0)
    assert info.pixel_size_um is None  # 0 means that it was not known


def test_a_file_set_without_readable_metadata_is_known_by_its_names(tmp_path: Path) -> None:
    _file_set(tmp_path / "set")
    (tmp_path / "set" / "metadata.txt").write_text('{"Summary": {"ChN', encoding="utf-8")
    recording = open_recording(tmp_path / "set")
    assert len(recording.order) == 4
    assert (recording.read(Index(1, 0, 0)).pixels == 2).all()
    assert "known by their names" in recording.notes[0]


def test_folders_of_positions_are_one_data_set(tmp_path: Path) -> None:
    for name in ("Pos0", "Pos1"):
        _file_set(tmp_path / name)
        text = (tmp_path / name / "metadata.txt").read_text("utf-8")
        at = int(name[-1])
        (tmp_path / name / "metadata.txt").write_text(
            text.replace('"position": 0', f'"position": {at}'), "utf-8"
        )
    recording = open_recording(tmp_path)
    assert len(recording.order) == 8
    assert {index.position for index in recording.order} == {0, 1}
    assert recording.order[0] == Index(0, 0, 0)


# -- what cannot be replayed


def test_what_cannot_be_replayed_is_told_with_what_can(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    (tmp_path / "data.tif").write_text("nothing", encoding="utf-8")
    _file_set(tmp_path / "set")
    cases = {
        tmp_path / "nots.txt": ("no such file or folder", "Did you mean 'notes.txt'"),
        tmp_path / "notes.txt": ("cannot be replayed", "NDTiff"),
        tmp_path / "data.tif": ("the file cannot be read", "data.tif"),
    }
    for path, texts in cases.items():
        with pytest.raises(InvalidInput) as told:
            open_recording(path)
        assert all(text in str(told.value) for text in texts), told.value


def test_a_folder_of_data_sets_names_them(tmp_path: Path) -> None:
    _file_set(tmp_path / "set")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "set").rename(tmp_path / "deeper" / "set")
    (tmp_path / "deeper" / "set").rename(tmp_path / "deeper" / "one")
    (tmp_path / "top").mkdir()
    (tmp_path / "deeper").rename(tmp_path / "top" / "deeper")
    with pytest.raises(InvalidInput, match="nothing in this folder"):
        open_recording(tmp_path)
    with pytest.raises(InvalidInput, match="In it are data: deeper"):
        open_recording(tmp_path / "top")


def test_axes_of_a_data_set_that_names_them_itself_are_refused(tmp_path: Path) -> None:
    _file_set(tmp_path / "set")
    with pytest.raises(InvalidInput, match="names them itself"):
        open_recording(tmp_path / "set", Given(axes="TYX"))


# -- NDTiff


def _ndtiff(folder: Path, count: int = 4) -> None:
    """A data set as pycromanager makes it with ndstorage: named channels, and no tags of ours."""
    import ndstorage
    from ndstorage import ndtiff_file

    size, ndtiff_file.MAX_FILE_SIZE = ndtiff_file.MAX_FILE_SIZE, 1 << 24  # it is allocated in advance
    try:
        data = ndstorage.NDTiffDataset(str(folder.parent), name=folder.name, writable=True)
        data.initialize({"Prefix": "foreign"})
        for at in range(count):
            tags = {"Exposure": 10, "PixelSize_um": 0.65, "ZPosition_um_Intended": float(at), "Binning": "1"}
            axes = {"channel": "FITC" if at % 2 else "DAPI", "time": at // 2}
            data.put_image(axes, np.full((8, 8), at, np.uint16), tags | {"Axes": axes, "Channel": "wrong"})
        data.finish()
        data.close()
    finally:
        ndtiff_file.MAX_FILE_SIZE = size
    next(folder.parent.glob(f"{folder.name}*")).rename(folder)


def test_a_foreign_ndtiff_set_is_read_in_its_order(tmp_path: Path) -> None:
    _ndtiff(tmp_path / "set")
    recording = open_recording(tmp_path / "set")
    assert recording.order == (Index(0, 0, 0), Index(0, 0, 1), Index(1, 0, 0), Index(1, 0, 1))
    frames = [recording.read(index) for index in recording.order]
    assert [int(frame.pixels[0, 0]) for frame in frames] == [0, 1, 2, 3]
    assert [frame.info.channel_name for frame in frames] == ["DAPI", "FITC", "DAPI", "FITC"]
    assert [frame.info.event_id for frame in frames] == ["e000001", "e000002", "e000003", "e000004"]
    info = frames[3].info
    assert (info.exposure_ms, info.pixel_size_um, info.planned.z_um, info.real.z_um) == (
        10.0,
        0.65,
        3.0,
        None,
    )
    assert not recording.own
    recording.close()


def test_an_index_that_is_cut_off_loses_only_its_end(tmp_path: Path) -> None:
    _ndtiff(tmp_path / "set")
    index = tmp_path / "set" / "NDTiff.index"
    index.write_bytes(index.read_bytes()[:-20])
    recording = open_recording(tmp_path / "set")
    assert len(recording.order) == 3
    assert "cut off" in recording.notes[0]
    assert int(recording.read(recording.order[-1]).pixels[0, 0]) == 2
    recording.close()


def test_an_empty_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "NDTiff.index").write_bytes(b"")
    with pytest.raises(InvalidInput, match="the data set has no image"):
        open_recording(tmp_path)


def test_a_missing_image_file_is_told(tmp_path: Path) -> None:
    _ndtiff(tmp_path / "set")
    for path in (tmp_path / "set").glob("*.tif"):
        path.unlink()
    with pytest.raises(InvalidInput, match="an image file cannot be read"):
        open_recording(tmp_path / "set")
