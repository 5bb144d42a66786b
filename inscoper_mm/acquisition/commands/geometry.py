"""Pixels and the stage: where something is, and the move that brings it to the middle of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander
from inscoper_mm.acquisition.commands.moves import stage_to
from inscoper_mm.errors import CommandRefused
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.microscope.geometry import PixelMap
from inscoper_mm.microscope.limits import finite_number
from inscoper_mm.scripting.vocabulary import index_of

Which = Mapping[str, Any] | None


def pixel_to_stage(commander: Commander, row: float, col: float, image: Which = None) -> tuple[float, float]:
    """(x_um, y_um), the stage coordinate that is seen at a pixel of an image; without one, of the new image."""
    row, col = _finite("pixelToStage", row=row, col=col)
    return _map("pixelToStage", commander, image).to_stage(row, col)


def stage_to_pixel(
    commander: Commander, x_um: float, y_um: float, image: Which = None
) -> tuple[float, float]:
    """(row, col) of an image at which a stage coordinate is seen; it may lie outside of the image."""
    x_um, y_um = _finite("stageToPixel", x_um=x_um, y_um=y_um)
    return _map("stageToPixel", commander, image).to_pixel(x_um, y_um)


def center_on(commander: Commander, row: float, col: float, image: Which = None) -> tuple[float, float]:
    """Move the stage, one-off, so that what was at a pixel comes to the middle of the image; returns what was reached.

    The stage's real position when that image was taken counts, not the present one.
    """

    def where() -> tuple[float, float]:
        at_row, at_col = _finite("centerOn", row=row, col=col)
        info = _info("centerOn", commander, image)
        x_um, y_um = _map("centerOn", commander, image).centered(at_row, at_col)
        shift = commander.live.objectives.shift(info.objective)
        return x_um + shift.x_um, y_um + shift.y_um

    asked = {"row": row, "col": col} | ({"image": dict(image)} if isinstance(image, Mapping) else {})
    return stage_to(commander, "centerOn", asked, where)


def _finite(name: str, **values: object) -> tuple[float, float]:
    numbers: list[float] = []
    for parameter, value in values.items():
        number = finite_number(value)
        if number is None:
            raise CommandRefused(
                f"{name}: {parameter} must be a finite number. Got: {value!r}. Nothing was moved."
            )
        numbers.append(number)
    return numbers[0], numbers[1]


def _map(name: str, commander: Commander, image: Which) -> PixelMap:
    try:
        return PixelMap.of(_info(name, commander, image))
    except CommandRefused as error:
        raise CommandRefused(f"{name}: {error}") from error


def _info(name: str, commander: Commander, image: Which) -> FrameInfo:
    if image is None:
        return commander.info
    if not isinstance(image, Mapping):
        raise CommandRefused(
            f"image must be one of the images of a call, as images[0]. Got: {type(image).__name__}."
        )
    try:
        index = index_of(image)
    except ValueError as error:
        raise CommandRefused(f"image is not one that was captured: {error}") from error
    return commander.info if index == commander.info.index else commander.info_at(index)


METHODS = (pixel_to_stage, stage_to_pixel, center_on)
