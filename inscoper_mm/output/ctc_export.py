"""Tracks of a run in the format of the Cell Tracking Challenge: a label image for each time point, and the lineage."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.output.files import write_whole

Labels = npt.NDArray[np.integer[Any]]
_LARGEST = int(np.iinfo(np.uint16).max)
_STEM = re.compile(r"t(?P<time>\d+)_p(?P<position>\d+)_c\d+_z\d+")


def export_ctc(run: Path, folder: Path, script: str = "cell_population_tracking") -> list[Path]:
    """Write the tracks of a run as results of the Cell Tracking Challenge.

    Parameters
    ----------
    run : Path
        A run folder with ``tracks.csv`` and the label images of ``script``, whose labels are track ids.
    folder : Path
        Gets ``01_RES`` for the first stage position, ``02_RES`` for the second ...
    script : str

    Returns
    -------
    list of Path
        The folders. Their images count the time points that were taken, from 0: where one is missing, the next one
        takes its number.

    Raises
    ------
    InvalidInput
        If the run has no such tracks or labels.
    OSError
    """
    parents = _parents(_table(run, script))
    written = []
    for position, files in sorted(_label_files(run, script).items()):
        target = folder / f"{position + 1:02d}_RES"
        write_ctc(target, map(_read, files), parents)
        written.append(target)
    return written


def write_ctc(
    folder: Path, masks: Iterable[Labels], parents: Mapping[int, int], kind: str = "RES"
) -> npt.NDArray[np.int64]:
    """Write label images and the lineage.

    A track that is not seen for some images ends, and goes on as another one whose parent it is: the format knows no
    gaps. Labels are numbered anew, as they have 16 bits there.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    masks : iterable of (Y, X) or (Z, Y, X) int
        The track id at each pixel, image after image.
    parents : mapping of int to int
        Track -> the track that it comes from; those without are not in it.
    kind : {"RES", "GT"}
        ``mask000.tif`` and ``res_track.txt``, or ``man_track000.tif`` and ``man_track.txt``.

    Returns
    -------
    (N, 4) int64
        The lines of the lineage: label, first and last image, parent's label or 0.

    Raises
    ------
    InvalidInput
        If there are more tracks than labels.
    OSError
    """
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    image_name, table_name = ("mask", "res_track.txt") if kind == "RES" else ("man_track", "man_track.txt")
    lineage = _Lineage(parents)
    for number, mask in enumerate(masks):
        found, place = np.unique(mask, return_inverse=True)
        labels = lineage.take(number, found)[place.reshape(np.shape(mask))]
        options = {"compression": "zlib", "photometric": "minisblack"}
        tifffile.imwrite(folder / f"{image_name}{number:03d}.tif", labels, **options)
    lines = lineage.lines()
    write_whole(folder / table_name, "".join(f"{' '.join(map(str, line))}\n" for line in lines.tolist()))
    return lines


class _Lineage:
    """Labels for tracks, a new one after each gap."""

    def __init__(self, parents: Mapping[int, int]) -> None:
        self._parents = parents
        # Track -> label, first and last image, and parent's label of each of its stretches.
        self._stretches: dict[int, list[list[int]]] = {}
        self._last = 0

    def take(self, number: int, tracks: Labels) -> npt.NDArray[np.uint16]:
        """The labels of ``tracks`` (0 is background) in the image ``number``."""
        labels = np.zeros(len(tracks), np.uint16)
        for place, track in enumerate(tracks.tolist()):
            if track > 0:
                labels[place] = self._label(number, track)
        return labels

    def lines(self) -> npt.NDArray[np.int64]:
        """Label, first and last image, and parent of each."""
        lines = [stretch for stretches in self._stretches.values() for stretch in stretches]
        return np.array(sorted(lines), np.int64).reshape(-1, 4)

    def _label(self, number: int, track: int) -> int:
        stretches = self._stretches.setdefault(track, [])
        if stretches and stretches[-1][2] == number - 1:
            stretches[-1][2] = number
        else:
            self._last += 1
            if self._last > _LARGEST:
                raise InvalidInput(
                    Finding("too many tracks for the format", got=f"{self._last}", allowed=f"{_LARGEST}")
                )
            stretches.append([self._last, number, number, self._before(track)])
        return stretches[-1][0]

    def _before(self, track: int) -> int:
        """The label that a new stretch of a track comes from."""
        own = self._stretches[track] or self._stretches.get(self._parents.get(track, 0), [])
        return own[-1][0] if own else 0


def _table(run: Path, script: str) -> list[Path]:
    """The files of the table of tracks: one, unless its columns have changed."""
    for place in (run / script, run):
        files = sorted(place.glob("tracks*.csv"))
        if files:
            return files
    cure = "Run the experiment with save_tracks: true."
    raise InvalidInput(Finding("The run has no tracks.csv.", file=str(run), cure=cure))


def _parents(files: Iterable[Path]) -> dict[int, int]:
    return {
        int(row["track_id"]): int(row["parent_id"])
        for path in files
        for row in _rows(path)
        if int(row["parent_id"] or 0)
    }


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _label_files(run: Path, script: str) -> dict[int, list[Path]]:
    """The label images by position, in the order of time; those of whole stacks where there are some."""
    places = [run / "results" / script / name for name in ("segmentation_stack", "segmentation")]
    files = next((found for place in places if (found := sorted(place.glob("t*.tif")))), [])
    if not files:
        message = f"The run has no label images of '{script}'."
        raise InvalidInput(Finding(message, file=str(run), allowed=", ".join(_scripts(run)) or None))
    by_position: dict[int, list[tuple[int, Path]]] = {}
    for path in files:
        if match := _STEM.fullmatch(path.stem):
            by_position.setdefault(int(match["position"]), []).append((int(match["time"]), path))
    return {position: [path for _, path in sorted(pairs)] for position, pairs in by_position.items()}


def _scripts(run: Path) -> list[str]:
    return sorted(path.parent.name for path in (run / "results").glob("*/segmentation"))


def _read(path: Path) -> Labels:
    import tifffile

    return np.asarray(tifffile.imread(path))
