"""A background model's file: read by every program, traceable, and refused for another light."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm import __version__
from inscoper_mm.analysis.illumination import Light
from inscoper_mm.errors import InvalidInput
from inscoper_mm.output.background_fields import BackgroundFields
from inscoper_mm.output.background_file import (
    Optics,
    Provenance,
    read_background,
    refuse_other_light,
    write_background,
)
from inscoper_mm.testing import simulated_shading
from inscoper_mm.testing.simulated_shading import CASES, error_percent

OPTICS = Optics("DAPI", "Nikon 10X", 0.65, "Camera", 2)
LIGHT = Light.from_background((100 + simulated_shading.light("smooth", 64) * 250).astype(np.float32), 100.0)


def test_a_model_is_read_back(tmp_path: Path) -> None:
    made = Provenance("robust", OPTICS, ({"positionIndex": 3, "positionName": "D"},), "estimated")
    write_background(tmp_path / "background.tif", LIGHT, made)
    light, provenance = read_background(tmp_path / "background.tif")
    np.testing.assert_allclose(light.flat, LIGHT.flat, rtol=1e-5)
    assert (light.offset, light.level) == pytest.approx((100.0, 250.0))
    assert provenance == made
    assert list(tmp_path.iterdir()) == [tmp_path / "background.tif"]


def test_other_programs_see_an_empty_field_and_where_it_comes_from(tmp_path: Path) -> None:
    write_background(tmp_path / "b.tif", LIGHT, Provenance("median", OPTICS))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].dtype == np.float32
        np.testing.assert_allclose(file.asarray(), LIGHT.background)
        about = json.loads(file.pages[0].description)
    assert about["method"] == "median"
    assert about["version"] == __version__
    assert about["made_utc"].startswith("20")
    assert about["optics"]["channel"] == "DAPI"
    assert (about["offset"], about["offset_from"]) == (100.0, "given")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("channel", "FITC"),
        ("objective", "Nikon 40X"),
        ("pixel_size_um", 0.1625),
        ("camera", "B"),
        ("binning", 1),
    ],
)
def test_another_light_is_refused(name: str, other: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_other_light(OPTICS, replace(OPTICS, **{name: other}), Path("background.tif"))
    (finding,) = refused.value.findings
    assert (finding.parameter, finding.got, finding.allowed) == (name, str(other), str(getattr(OPTICS, name)))
    assert finding.file == "background.tif"


@pytest.mark.parametrize(
    "image", [OPTICS, replace(OPTICS, objective=None), replace(OPTICS, pixel_size_um=0.65001)]
)
def test_the_same_light_is_not(image: Optics) -> None:
    refuse_other_light(OPTICS, image)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "picture.tif", np.ones((8, 8), np.float32))
    (tmp_path / "text.tif").write_text("no picture", encoding="utf-8")
    for name, text in {"picture": "no background model", "text": "cannot be read", "none": "no such"}.items():
        with pytest.raises(InvalidInput, match=text) as refused:
            read_background(tmp_path / f"{name}.tif")
        assert name in str(refused.value)


def learn(
    folder: Path, count: int, first: int = 0, method: str = "robust", offset: float | None = 100.0
) -> BackgroundFields:
    fields = BackgroundFields(folder, method, offset)  # type: ignore[arg-type]
    for number, field in enumerate(simulated_shading.fields(CASES[0], count=6, side=256)):
        if first <= number < first + count:
            fields.add(f"p{number}", field, OPTICS, {"positionIndex": number})
    return fields


@pytest.mark.parametrize(
    ("method", "limit"), [("robust", 0.3), ("median", 5.0), ("low_quantile", 5.0), ("mean", 25.0)]
)
def test_fields_that_came_before_a_restart_count(tmp_path: Path, method: str, limit: float) -> None:
    learn(tmp_path / "fields", 3, method=method)
    again = learn(tmp_path / "fields", 4, first=2, method=method)
    light, provenance = again.model()
    assert [field["positionIndex"] for field in provenance.fields] == [0, 1, 2, 3, 4, 5]
    assert (provenance.method, provenance.optics, provenance.offset_from) == (method, OPTICS, "given")
    assert error_percent(light.flat, "smooth")[0] < limit
    again.clear()
    assert not (tmp_path / "fields").exists()


def test_little_is_kept_of_a_field(tmp_path: Path) -> None:
    learn(tmp_path, 1)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_size < 0.15 * 2 * 256 * 256


def test_the_offset_may_be_estimated(tmp_path: Path) -> None:
    light, provenance = learn(tmp_path, 6, offset=None).model()
    assert abs(light.offset - 100) < 30
    assert provenance.offset_from == "estimated"


def test_fields_of_unlike_light_are_refused(tmp_path: Path) -> None:
    fields = learn(tmp_path, 1)
    image = next(simulated_shading.fields(CASES[0], count=1, side=256))
    with pytest.raises(InvalidInput, match="another objective"):
        fields.add("x", image, replace(OPTICS, objective="40X"), {})
    with pytest.raises(InvalidInput, match="different sizes"):
        fields.add("x", image[:200], OPTICS, {})
    assert len(fields) == 1


def test_no_offset_and_no_field_are_refused(tmp_path: Path) -> None:
    fields = BackgroundFields(tmp_path / "none")
    with pytest.raises(InvalidInput, match="no field"):
        fields.model()
    fields.add("flat", np.full((64, 64), 300, np.uint16), OPTICS, {})
    with pytest.raises(InvalidInput, match="camera_offset"):
        fields.model()
