"""Library scripts loaded as a run loads them, images as a run hands them over, and a context that only notes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inscoper_mm.library import library_scripts
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script, load_script
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.specimen import ORIENTATIONS, Specimen, SpecimenParameters, View

# Experiments and scripts whose runs need Cellpose.
NEED_CELLPOSE = {"demo", "single_cell_screening"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs that need Cellpose can be left out by its marker, and are skipped where it is not installed."""
    missing = pytest.mark.skipif(find_spec("cellpose") is None, reason="cellpose is not installed")
    for item in items:
        values = getattr(item, "callspec", None) and item.callspec.params.values()  # type: ignore[attr-defined]
        named = {str(value).removesuffix(".yaml") for value in values or ()}
        if named & NEED_CELLPOSE and {"run", "ran"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.cellpose)
            item.add_marker(missing)


class NotingContext:
    """What the scripts of this version ask of a context; notes the calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.corrections: list[float] = []
        self.state: dict[str, Any] = {}

    def log(self, message: object) -> None:
        self.lines.append(str(message))

    def correctPosition(self, dx_um: float = 0, dy_um: float = 0, dz_um: float = 0) -> dict[str, float]:
        assert (dx_um, dy_um) == (0, 0)
        self.corrections.append(dz_um)
        return {"z_um": dz_um}


@pytest.fixture
def context() -> NotingContext:
    """A context that notes what is logged and corrected."""
    return NotingContext()


@pytest.fixture(scope="session")
def library() -> Callable[..., Script]:
    """``library(name, **parameters)``: a script of the library, loaded and checked, its values bound."""

    def load(name: str, use_async: bool = False, **parameters: Any) -> Script:
        spec = ScriptSpec(name, library_scripts()[name], use_async=use_async, parameters=parameters)
        return load_script(spec)

    return load


@pytest.fixture(scope="session")
def image_of() -> Callable[..., Image]:
    """``image_of(pixels, **metadata)``."""

    def make(pixels: npt.NDArray[Any], **metadata: Any) -> Image:
        indices = {f"{axis}Index": 0 for axis in ("time", "position", "channel", "focus")}
        sizes = {f"{axis}Size": 1 for axis in ("time", "position", "channel", "focus")}
        return Image(indices | sizes | {"pixelSize_um": 1.0} | metadata, pixels)

    return make


def _pixel_to_stage_um(view: View) -> list[float]:
    """The map that the specimen's own coordinates follow."""
    (x0, y0), (x_col, y_col), (x_row, y_row) = (view.to_stage(*pixel) for pixel in ((0, 0), (0, 1), (1, 0)))
    return [x_col - x0, x_row - x0, x0, y_col - y0, y_row - y0, y0]


@pytest.fixture(scope="session")
def view_of(image_of: Callable[..., Image]) -> Callable[..., tuple[Images, Specimen, View]]:
    """``view_of(seed, channel, x_um, y_um, z_um, **parameters)``: an image of a specimen, as a call gets it."""

    @lru_cache(maxsize=8)
    def specimen_of(**parameters: Any) -> Specimen:
        return Specimen(SpecimenParameters(**parameters))

    def make(
        seed: int,
        channel: str,
        x_um: float = 0.0,
        y_um: float = 0.0,
        z_um: float = 0.0,
        image: int = 0,
        mount: str = "upright",
        roi: tuple[int, int, int, int] | None = None,
        **parameters: Any,
    ) -> tuple[Images, Specimen, View]:
        specimen = specimen_of(seed=seed, **parameters)
        view = View(x_um, y_um, z_um, channel, 20.0, roi=roi, image=image, orientation=ORIENTATIONS[mount])
        place = {"xPosition_um": x_um, "yPosition_um": y_um, "zPosition_um": z_um}
        place["pixelToStage_um"] = _pixel_to_stage_um(view)
        return Images([image_of(specimen.render(view), **place)]), specimen, view

    return make


@pytest.fixture(scope="session")
def empty_image() -> npt.NDArray[np.uint16]:
    """Noise without any cell."""
    return np.random.default_rng(0).poisson(100, (256, 256)).astype(np.uint16)
