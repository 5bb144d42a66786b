"""The format of the Cell Tracking Challenge: lineage, gaps, numbers of 16 bits, and that its own tools take it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.errors import InvalidInput
from inscoper_mm.output.ctc_export import export_ctc, write_ctc

# Rows of pixels: track 70000 divides into 8 and 9; 5 is not seen in the third image.
FILM = [
    [70000, 70000, 70000, 0, 5, 5],
    [70000, 70000, 70000, 0, 5, 5],
    [8, 0, 9, 9, 0, 0],
    [8, 0, 9, 9, 5, 5],
]
PARENTS = {8: 70000, 9: 70000}


def masks(film: list[list[int]] = FILM) -> list[np.ndarray]:
    return [np.tile(np.array(row, np.int32), (3, 1)) for row in film]


def test_daughters_name_their_mother_and_a_gap_begins_a_new_label(tmp_path: Path) -> None:
    lines = write_ctc(tmp_path, masks(), PARENTS)
    # In the order in which they are seen: 5, 70000, 8, 9, and 5 again, which comes from the first 5.
    assert lines.tolist() == [[1, 0, 1, 0], [2, 0, 1, 0], [3, 2, 3, 2], [4, 2, 3, 2], [5, 3, 3, 1]]
    text = (tmp_path / "res_track.txt").read_text(encoding="utf-8")
    assert text.splitlines() == ["1 0 1 0", "2 0 1 0", "3 2 3 2", "4 2 3 2", "5 3 3 1"]
    last = tifffile.imread(tmp_path / "mask003.tif")
    assert last.dtype == np.uint16
    assert last[0].tolist() == [3, 0, 4, 4, 5, 5]


def test_stacks_and_the_truth(tmp_path: Path) -> None:
    write_ctc(tmp_path, [np.stack([each, each]) for each in masks()], PARENTS, kind="GT")
    assert tifffile.imread(tmp_path / "man_track001.tif").shape == (2, 3, 6)
    assert (tmp_path / "man_track.txt").is_file()


def test_a_mother_that_was_lost_before_she_divided_is_named_by_her_last_label(tmp_path: Path) -> None:
    film = [[7, 7, 0], [0, 0, 0], [7, 7, 0], [8, 9, 0]]
    lines = write_ctc(tmp_path, masks(film), {8: 7, 9: 7})
    assert lines.tolist() == [[1, 0, 0, 0], [2, 2, 2, 1], [3, 3, 3, 2], [4, 3, 3, 2]]


def make_run(folder: Path, script: str = "cell_population_tracking") -> Path:
    """A run folder of two positions; the third time point of the second one is missing."""
    labels = folder / "results" / script / "segmentation"
    labels.mkdir(parents=True)
    for time, mask in enumerate(masks()):
        tifffile.imwrite(labels / f"t{time:03d}_p000_c0_z000.tif", mask)
        if time != 2:
            tifffile.imwrite(labels / f"t{time:03d}_p001_c0_z000.tif", (mask > 0).astype(np.uint8) * 200)
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event", "frame", "track_id", "parent_id"])
        writer.writerows(["e1", "t002", track, PARENTS.get(track, 0)] for track in (8, 9, 5, 200))
    return folder


def test_a_run_is_exported_position_by_position(tmp_path: Path) -> None:
    written = export_ctc(make_run(tmp_path / "run"), tmp_path / "ctc")
    assert [path.name for path in written] == ["01_RES", "02_RES"]
    first = (written[0] / "res_track.txt").read_text(encoding="utf-8").splitlines()
    assert first == ["1 0 1 0", "2 0 1 0", "3 2 3 2", "4 2 3 2", "5 3 3 1"]
    assert (written[1] / "res_track.txt").read_text(encoding="utf-8") == "1 0 2 0\n"
    assert len(list(written[1].glob("mask*.tif"))) == 3


def test_a_run_without_tracks_says_how_to_get_them(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "tracks.csv").unlink()
    with pytest.raises(InvalidInput, match="save_tracks"):
        export_ctc(folder, tmp_path / "ctc")


def test_a_script_that_has_no_labels_is_told_with_those_that_have(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "other")
    with pytest.raises(InvalidInput, match="other"):
        export_ctc(folder, tmp_path / "ctc")


def test_the_challenges_own_tool_takes_it_and_finds_it_right(tmp_path: Path) -> None:
    ctc_metrics = pytest.importorskip("ctc_metrics")
    write_ctc(tmp_path / "01_RES", masks(), PARENTS)
    write_ctc(tmp_path / "01_GT" / "TRA", masks(), PARENTS, kind="GT")
    asked = ["Valid", "TRA", "DET"]
    places = str(tmp_path / "01_RES"), str(tmp_path / "01_GT")
    scores = ctc_metrics.evaluate_sequence(*places, asked, threads=1)
    assert {name: float(scores[name]) for name in asked} == {"Valid": 1, "TRA": 1, "DET": 1}
    # Without the lineage it is no longer right.
    write_ctc(tmp_path / "01_RES", masks(), {})
    worse = ctc_metrics.evaluate_sequence(*places, asked, threads=1)
    assert worse["Valid"] == 1
    assert 0.5 < float(worse["TRA"]) < 1
