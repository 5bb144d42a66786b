"""Crops as other programs read them: OME-TIFF with pixel size, channels and place, and the JSON file beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.output.crop_files import write_crops

MakeInfo = Callable[..., FrameInfo]
RNG = np.random.default_rng(1)
# The camera is turned by 90 degrees: columns run along y.
TURNED = (0.0, -0.5, 100.0, 0.5, 0.0, 40.0)


def written(tmp_path: Path, info: FrameInfo, **crop: Any) -> tuple[Path, dict[str, Any]]:
    crop = {"bbox": [10, 20, 30, 60], "label": 7, "measurements": {"x_um": 1.5, "y_um": 2.5}} | crop
    write_crops(tmp_path / "crops", info, [crop], {"script": "cells"})
    (path,) = (tmp_path / "crops").glob("*.tif")
    assert not list((tmp_path / "crops").glob(".*"))
    return path, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_a_crop_of_several_channels(tmp_path: Path, make_info: MakeInfo, dtype: type) -> None:
    pixels = RNG.integers(0, 200, (2, 20, 40)).astype(dtype)
    info = replace(
        make_info(1), pixel_size_um=0.5, pixel_to_stage_um=TURNED, real=StagePosition(100.0, 50.0, 3.5)
    )
    path, said = written(tmp_path, info, image=pixels, channels=["DAPI", "Cy5 far"], contour=[[20, 10]])
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "CYX"
        assert np.array_equal(file.asarray(), pixels)
        page = file.pages[0]
        # Also readers that know nothing of OME see the size of a pixel: 20,000 of them are a centimetre.
        assert page.tags["XResolution"].value == (20000, 1)
    assert said["cell"] == {"x_um": 1.5, "y_um": 2.5, "z_um": 3.5}
    assert (said["channels"], said["contour"], said["image"]) == (["DAPI", "Cy5 far"], [[20, 10]], path.name)

    ome = pytest.importorskip("ome_types", reason="only in the bench environment").from_tiff(path)
    (image,) = ome.images
    assert image.name == path.stem
    assert (image.pixels.physical_size_x, image.pixels.physical_size_y) == (0.5, 0.5)
    assert image.pixels.physical_size_x_unit.value == "µm"
    assert [channel.name for channel in image.pixels.channels] == ["DAPI", "Cy5 far"]
    # The middle of the crop is at row 19.5 and column 39.5.
    places = [(plane.position_x, plane.position_y, plane.position_z) for plane in image.pixels.planes]
    assert places == [pytest.approx((-0.5 * 19.5 + 100, 0.5 * 39.5 + 40, 3.5))] * 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.bool_])
def test_a_crop_of_one_channel(tmp_path: Path, make_info: MakeInfo, dtype: type) -> None:
    pixels = RNG.integers(0, 2, (20, 40)).astype(dtype)
    path, said = written(tmp_path, make_info(1), image=pixels)
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "YX"
        assert np.array_equal(file.asarray(), pixels)
    assert said["bbox"] == [10, 20, 30, 60]


def test_without_pixel_size_nothing_is_claimed(tmp_path: Path, make_info: MakeInfo) -> None:
    info = replace(make_info(1), pixel_size_um=None, pixel_to_stage_um=None)
    path, said = written(tmp_path, info, image=np.zeros((20, 40), np.uint16), measurements={})
    with tifffile.TiffFile(path) as file:
        assert "PhysicalSize" not in str(file.ome_metadata)
        assert "Position" not in str(file.ome_metadata)
    assert "cell" not in said
    assert said["pixel_size_um"] is None
