"""``export-ctc``: what it writes and says, and what is wrong with a folder that is no tracked run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from typer.testing import CliRunner

from inscoper_mm.cli import app

NAME = "cell_population_tracking"


def tracked_run(folder: Path) -> Path:
    labels = folder / "results" / NAME / "segmentation"
    labels.mkdir(parents=True)
    for time in range(3):
        mask = np.zeros((8, 8), np.uint8)
        mask[2:4, 2:4] = 3
        mask[5:7, 5:7] = 4 if time != 1 else 0
        tifffile.imwrite(labels / f"t{time:03d}_p000_c0_z000.tif", mask)
    text = "event,frame,track_id,parent_id\n" + "e1,t000_p000_c0_z000,3,0\n"
    (folder / "tracks.csv").write_text(text, encoding="utf-8")
    return folder


def test_it_tells_what_it_wrote(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export-ctc", str(tracked_run(tmp_path / "run"))])
    assert done.exit_code == 0, done.output
    assert "3 images, 3 tracks" in " ".join(done.output.split())
    assert (tmp_path / "run" / "ctc" / "01_RES" / "res_track.txt").is_file()


def test_a_folder_without_tracks_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export-ctc", str(tmp_path), "--output", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "save_tracks" in done.output
    assert not (tmp_path / "out").exists()
