"""Pictures for people: what a script found, drawn on the image, and the cells it cut out, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.output.files import publish, unfinished

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont
    from PIL.Image import Image

Rgb = tuple[int, int, int]

_GREY: Rgb = (150, 155, 165)
_WHITE: Rgb = (245, 246, 248)
_DARK: Rgb = (18, 20, 24)
# Told apart by people with any colour vision, and from grey cells (after Okabe and Ito, lightened).
_SINGLE: Rgb = (86, 200, 255)
_OTHER: Rgb = (255, 150, 50)
# Found on Windows, macOS and Linux; the font that Pillow brings lacks the micro sign.
_FONTS = ("arial.ttf", "Arial.ttf", "Helvetica.ttc", "DejaVuSans.ttf", "LiberationSans-Regular.ttf")
_WITHOUT_SIGNS = str.maketrans({"µ": "u", "²": "^2"})
_BAR_LENGTHS_UM = tuple(step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5))
_SMALLEST_SIDE_PX = 900


def overlay(
    image: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    single: Sequence[int],
    path: Path,
    pixel_size_um: float | None = None,
) -> None:
    """Write ``image`` with the outlines of its objects as a PNG: single ones in blue, all others in orange.

    Parameters
    ----------
    image : ndarray
        (Y, X), any number type; shown from its 1st to its 99.8th percentile.
    labels : ndarray
        (Y, X) int, 0 is background.
    single : sequence of int
        Labels that are drawn in blue.
    path : Path
    pixel_size_um : float, optional
        With it, a scale bar is drawn.

    Raises
    ------
    OSError
        If the picture cannot be written.
    """
    from PIL import Image

    canvas, size, zoom = _canvas(image)
    _draw_outlines(canvas, labels, set(map(int, single)), zoom * 2)
    canvas = canvas.resize(size, Image.Resampling.LANCZOS)
    others = len(set(np.unique(labels).tolist()) - {0} - set(map(int, single)))
    legend = [(f"{len(single)} single", _SINGLE)] + ([(f"{others} not single", _OTHER)] if others else [])
    _write_legend(canvas, legend)
    if pixel_size_um:
        _draw_bar(canvas, pixel_size_um / zoom)
    _save(canvas, path)


def _canvas(image: npt.NDArray[Any]) -> tuple[Any, tuple[int, int], int]:
    """``image`` to draw on, twice as large as it will be shown so that lines are smooth; the shown size; its zoom."""
    from PIL import Image

    zoom = max(1, math.ceil(_SMALLEST_SIDE_PX / max(image.shape)))
    grey = Image.fromarray(_stretched(image, *_range([image])))
    size = (grey.width * zoom, grey.height * zoom)
    return grey.resize((size[0] * 2, size[1] * 2), Image.Resampling.BICUBIC).convert("RGB"), size, zoom


@dataclass(frozen=True, slots=True)
class Marks:
    """Circles of one colour: their centres (row, col), their diameter in pixels, and what the legend says of them."""

    centres: npt.NDArray[np.float64]
    diameter_px: float
    text: str
    is_whole: bool = True


def marked(
    image: npt.NDArray[Any],
    marks: Sequence[Marks],
    path: Path,
    title: str = "",
    pixel_size_um: float | None = None,
) -> None:
    """Write ``image`` with circles on it as a PNG: blue where ``is_whole``, else orange, with a dot in each centre.

    Parameters
    ----------
    image : ndarray
        (Y, X), any number type; shown from its 1st to its 99.8th percentile.
    marks : sequence of Marks
    path : Path
    title : str
        At the foot of the picture.
    pixel_size_um : float, optional
        With it, a scale bar is drawn.

    Raises
    ------
    OSError
        If the picture cannot be written.
    """
    from PIL import Image, ImageDraw

    canvas, size, zoom = _canvas(image)
    draw = ImageDraw.Draw(canvas)
    for mark in marks:
        colour = _SINGLE if mark.is_whole else _OTHER
        radius = max(mark.diameter_px / 2, 1.0) * zoom * 2
        line = 1 if radius < 16 else 2  # small circles would hide what they are on
        for row, col in ((mark.centres + 0.5) * zoom * 2).tolist():
            draw.ellipse((col - radius, row - radius, col + radius, row + radius), outline=colour, width=line)
            dot = min(4.0, radius / 4)
            draw.ellipse((col - dot, row - dot, col + dot, row + dot), fill=colour)
    canvas = canvas.resize(size, Image.Resampling.LANCZOS)
    _write_legend(canvas, [(mark.text, _SINGLE if mark.is_whole else _OTHER) for mark in marks if mark.text])
    if title:
        _outlined(ImageDraw.Draw(canvas), (16, canvas.height - 24), title, "lm")
    if pixel_size_um:
        _draw_bar(canvas, pixel_size_um / zoom)
    _save(canvas, path)


def contact_sheet(
    crops: Sequence[npt.NDArray[Any]],
    path: Path,
    captions: Sequence[str] = (),
    pixel_size_um: float | None = None,
    columns: int | None = None,
) -> None:
    """Write ``crops`` side by side as a PNG, all at one scale and one contrast.

    Parameters
    ----------
    crops : sequence of ndarray
        (Y, X) each, of any size.
    path : Path
    captions : sequence of str
        One below each crop; may be left out.
    pixel_size_um : float, optional
        With it, a scale bar is drawn.
    columns : int, optional
        Default: about as wide as high.

    Raises
    ------
    ValueError
        If there is no crop.
    OSError
        If the picture cannot be written.
    """
    from PIL import Image, ImageDraw

    if not len(crops):
        raise ValueError("There is no crop to show.")
    columns = columns or max(1, math.ceil(math.sqrt(len(crops) * 1.3)))
    side = max(max(crop.shape[:2]) for crop in crops)
    zoom = max(1, round(150 / side))
    gap, caption_px = 12, 24 if captions else 0
    cell = side * zoom
    rows = math.ceil(len(crops) / columns)
    footer = 44 if pixel_size_um else 0
    width, height = columns * (cell + gap) + gap, rows * (cell + caption_px + gap) + gap + footer
    sheet = Image.new("RGB", (width, height), _DARK)
    draw = ImageDraw.Draw(sheet)
    low, high = _range(crops)
    for number, crop in enumerate(crops):
        row, column = divmod(number, columns)
        left, top = gap + column * (cell + gap), gap + row * (cell + caption_px + gap)
        tile = Image.fromarray(_stretched(crop, low, high))
        tile = tile.resize((tile.width * zoom, tile.height * zoom), Image.Resampling.BICUBIC)
        sheet.paste(tile.convert("RGB"), (left + (cell - tile.width) // 2, top + (cell - tile.height) // 2))
        if number < len(captions):
            middle = (left + cell / 2, top + cell + caption_px / 2)
            font, text = _font(15, captions[number])
            draw.text(middle, text, fill=_GREY, font=font, anchor="mm")
    if pixel_size_um:
        _draw_bar(sheet, pixel_size_um / zoom, longest_px=cell)
    _save(sheet, path)


def _range(images: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    values = np.concatenate([np.ravel(image) for image in images])
    low, high = np.percentile(values, (1.0, 99.8))
    return float(low), float(max(high, low + 1e-6))


def _stretched(image: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    part = np.clip((image.astype(np.float32) - low) / (high - low), 0.0, 1.0)
    # A little brighter than linear: dim cells are what people look for.
    return np.asarray(part**0.8 * 255.0, dtype=np.uint8)


def _draw_outlines(canvas: Image, labels: npt.NDArray[Any], single: set[int], zoom: int) -> None:
    from PIL import ImageDraw
    from scipy.ndimage import find_objects, gaussian_filter
    from skimage.measure import find_contours

    draw = ImageDraw.Draw(canvas)
    lines = []
    for label, box in enumerate(find_objects(labels.astype(np.int64)), start=1):
        if box is None:
            continue
        mask = np.pad((labels[box] == label).astype(np.float32), 3)
        corner = np.array([box[0].start, box[1].start]) - 3
        colour = _SINGLE if label in single else _OTHER
        for contour in find_contours(gaussian_filter(mask, 0.7), 0.5):
            # A pixel's centre lies half a pixel from its corner, where the enlarged picture begins.
            points = (contour + corner + 0.5) * zoom
            lines.append(([(column, row) for row, column in points.tolist()], colour))
    for points, _ in lines:
        draw.line(
            points, fill=_DARK, width=8, joint="curve"
        )  # keeps the coloured line visible on bright cells
    for points, colour in lines:
        draw.line(points, fill=colour, width=4, joint="curve")


def _write_legend(canvas: Image, lines: Sequence[tuple[str, Rgb]]) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas)
    left = 16
    for text, colour in lines:
        draw.ellipse((left, 18, left + 12, 30), outline=colour, width=3)
        _outlined(draw, (left + 20, 24), text, "lm")
        left += 44 + round(draw.textlength(text, font=_font(20)[0]))


def _draw_bar(canvas: Image, pixel_um: float, longest_px: float | None = None) -> None:
    from PIL import ImageDraw

    longest_um = min(canvas.width / 4, longest_px or canvas.width) * pixel_um
    length_um = max(
        (length for length in _BAR_LENGTHS_UM if length <= longest_um), default=_BAR_LENGTHS_UM[0]
    )
    draw = ImageDraw.Draw(canvas)
    right, bottom = canvas.width - 18, canvas.height - 14
    left = right - length_um / pixel_um
    draw.rectangle((left - 1, bottom - 7, right + 1, bottom + 1), fill=_DARK)
    draw.rectangle((left, bottom - 6, right, bottom), fill=_WHITE)
    _outlined(draw, ((left + right) / 2, bottom - 20), f"{length_um:g} µm", "mm")


def _outlined(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, anchor: str) -> None:
    font, text = _font(20, text)
    draw.text(at, text, fill=_WHITE, font=font, anchor=anchor, stroke_width=2, stroke_fill=_DARK)


def _font(size: int, text: str = "") -> tuple[ImageFont.ImageFont | ImageFont.FreeTypeFont, str]:
    """A font, and ``text`` with only the signs that it has."""
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), text
        except OSError:
            continue
    return ImageFont.load_default(size), text.translate(_WITHOUT_SIGNS)


def _save(picture: Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(unfinished(path), format="PNG", optimize=True)
    publish(path)
