"""Opening whatever can be replayed: the one place that knows what a data set looks like from outside."""

from __future__ import annotations

from pathlib import Path

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of, short_path
from inscoper_mm.images.recorded_files import is_file_set, open_file_set
from inscoper_mm.images.recorded_ndtiff import is_ndtiff, open_ndtiff
from inscoper_mm.images.recorded_tiff import ENDINGS, is_tiff, open_tiff
from inscoper_mm.images.recording import Given, Recording

ALLOWED = (
    "a run folder, an NDTiff data set (version 2 or 3), a Micro-Manager file set (metadata.txt and single TIFF files), "
    "or a TIFF stack"
)
# Where a run folder has its data set.
IMAGES = "images"


def open_recording(path: Path, given: Given | None = None) -> Recording:
    """The data set at ``path``.

    Parameters
    ----------
    path : Path
        A run folder, or a folder or file of recorded images.
    given : Given, optional
        What the data set does not say itself.

    Raises
    ------
    InvalidInput
        There is nothing at ``path`` that can be replayed.
    """
    given = given or Given()
    if not path.exists():
        raise InvalidInput(_missing(path))
    if path.is_file():
        if not is_tiff(path):
            raise InvalidInput(
                Finding("this file cannot be replayed.", file=short_path(path), allowed=_allowed_files())
            )
        return open_tiff(path, given)
    folder = path / IMAGES if is_ndtiff(path / IMAGES) else path
    _refuse_axes(given)
    if is_ndtiff(folder):
        return open_ndtiff(folder, given)
    if is_file_set(folder):
        return open_file_set(folder, given)
    raise InvalidInput(_nothing(path))


def _refuse_axes(given: Given) -> None:
    if given.axes is not None:
        message = "only a TIFF stack needs its axes named; this data set names them itself."
        raise InvalidInput(Finding(message, field="--axes", got=given.axes))


def _allowed_files() -> str:
    return f"{', '.join(ENDINGS)}; or a folder: {ALLOWED}"


def _missing(path: Path) -> Finding:
    beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    return Finding(
        "there is no such file or folder.",
        file=str(path),
        allowed=ALLOWED,
        suggestion=did_you_mean(path.name, beside),
    )


def _nothing(path: Path) -> Finding:
    """A folder without data: name what is in it that could have been meant."""
    inside = sorted(each.name for each in path.iterdir() if _may_be(each))
    return Finding(
        "there is nothing in this folder that can be replayed.",
        file=short_path(path),
        allowed=ALLOWED,
        cure=f"In it are data: {one_of(inside, 6)}. Name one of them." if inside else None,
    )


def _may_be(path: Path) -> bool:
    if path.is_file():
        return is_tiff(path)
    try:
        return is_ndtiff(path) or is_ndtiff(path / IMAGES) or is_file_set(path)
    except OSError:
        return False
