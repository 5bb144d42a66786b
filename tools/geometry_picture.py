"""Draws docs/images/geometry.png with the package's own maps: ``python tools/geometry_picture.py`` (matplotlib)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np

from inscoper_mm.microscope.geometry import PixelMap

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "geometry.png"
SHAPE = (300, 400)
PIXEL_UM = 0.5
STAGE_UM = (1000.0, 500.0)
# The letter F, which looks different from every side, in um from its foot.
LETTER_UM = [(0, 0), (0, -15), (0, -30), (0, -45), (0, -60), (14, -60), (28, -60), (14, -32), (24, -32)]
FOOT_UM = (1030.0, 545.0)
UPRIGHT, TURNED, INK, LIGHT = "#1f6fb4", "#d1601f", "#333333", "#b8b8b8"


def turned(degrees: float, mirrored: bool) -> tuple[float, float, float, float]:
    """The affine of a camera whose columns point ``degrees`` from +x, mirrored left to right or not."""
    cos, sin = math.cos(math.radians(degrees)) * PIXEL_UM, math.sin(math.radians(degrees)) * PIXEL_UM
    return (-cos, -sin, -sin, cos) if mirrored else (cos, -sin, sin, cos)


def map_of(affine: tuple[float, float, float, float]) -> PixelMap:
    """A whole-sensor image taken at STAGE_UM."""
    return PixelMap(affine, STAGE_UM, (SHAPE[0] / 2, SHAPE[1] / 2), SHAPE)


def letter_um() -> np.ndarray:
    """The letter's dots on the stage, (N, 2) of (x, y)."""
    return np.array(LETTER_UM) + FOOT_UM


def draw_stage(axes: Axes, maps: dict[str, PixelMap], title: str) -> None:
    """The letter on the stage, and what each camera sees of it."""
    axes.scatter(*letter_um().T, s=28, color=INK, zorder=3)
    for colour, pixels in maps.items():
        corners = [(0, 0), (0, SHAPE[1]), (SHAPE[0], SHAPE[1]), (SHAPE[0], 0), (0, 0)]
        outline = pixels.to_stage_many(corners)
        axes.plot(*outline.T, color=colour, lw=1.6)
        axes.scatter(*outline[0], color=colour, s=36, marker="s", zorder=4)
        axes.annotate("pixel (0, 0)", outline[0], (5, 6), textcoords="offset points", color=colour, size=8)
        axes.scatter(*pixels.stage_um, marker="+", s=130, color=colour, lw=1.8, zorder=4)
    axes.set(xlim=(860, 1260), ylim=(645, 345), xlabel="x / um", ylabel="y / um", aspect="equal")
    axes.set_title(title, size=10)


def draw_image(axes: Axes, pixels: PixelMap, colour: str, title: str) -> None:
    """The letter in an image."""
    rows, cols = pixels.to_pixel_many(letter_um()).T
    axes.scatter(cols, rows, s=28, color=INK, zorder=3)
    row, col = pixels.to_pixel(*pixels.stage_um)
    axes.scatter(col, row, marker="+", s=130, color=colour, lw=1.8)
    axes.scatter(0, 0, color=colour, s=36, marker="s", zorder=4, clip_on=False)
    for text, place in {
        "x": (pixels.stage_um[0] + 30, pixels.stage_um[1]),
        "y": (pixels.stage_um[0], pixels.stage_um[1] + 30),
    }.items():
        tip_row, tip_col = pixels.to_pixel(*place)
        axes.annotate(
            "", (tip_col, tip_row), (col, row), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.4}
        )
        axes.annotate(
            f"+{text}", (tip_col, tip_row), (3, -9), textcoords="offset points", color=colour, size=8
        )
    axes.set(xlim=(0, SHAPE[1]), ylim=(SHAPE[0], 0), xlabel="col / px", ylabel="row / px", aspect="equal")
    for side in axes.spines.values():
        side.set_color(colour)
        side.set_linewidth(1.6)
    axes.set_title(title, size=10)


def draw_target(axes: Axes, row: float, col: float, arrow: bool) -> None:
    """A ring around the pixel that is to come to the middle, and the way there."""
    axes.scatter(col, row, s=260, facecolors="none", edgecolors="#c01840", lw=1.8, zorder=5)
    if arrow:
        middle = (SHAPE[1] / 2, SHAPE[0] / 2)
        axes.annotate("", middle, (col, row), arrowprops={"arrowstyle": "->", "color": "#c01840", "lw": 1.6})


def main() -> None:
    """Draw it."""
    upright, other = map_of(turned(0, False)), map_of(turned(25, True))
    figure, ((stage, image, mirrored), (moved, before, after)) = plt.subplots(
        2, 3, figsize=(13, 6.9), dpi=100
    )
    draw_stage(stage, {UPRIGHT: upright, TURNED: other}, "One place on the stage, seen by two cameras")
    draw_image(image, upright, UPRIGHT, "Upright: a, b, c, d = 0.5, 0, 0, 0.5")
    a, b, c, d = other.affine_um
    draw_image(mirrored, other, TURNED, f"Turned, mirrored: {a:.2f}, {b:.2f}, {c:.2f}, {d:.2f}")

    tip_um = letter_um()[6]
    row, col = other.to_pixel(*tip_um)
    there = replace(other, stage_um=other.centered(row, col))
    draw_stage(moved, {LIGHT: other, TURNED: there}, "centerOn() moves the stage: grey before, orange after")
    draw_target(moved, tip_um[1], tip_um[0], arrow=False)
    moved.annotate(
        "", there.stage_um, other.stage_um, arrowprops={"arrowstyle": "->", "color": "#c01840", "lw": 1.6}
    )
    draw_image(before, other, TURNED, "Before: centerOn(row, col) of the ringed pixel")
    draw_target(before, row, col, arrow=True)
    draw_image(after, there, TURNED, "After: it is in the middle")
    draw_target(after, *there.to_pixel(*tip_um), arrow=False)
    figure.tight_layout()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(TARGET)


if __name__ == "__main__":
    main()
