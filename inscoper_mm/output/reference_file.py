"""The references of followed targets, in memory and on disk: a script whose process was restarted goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.running_reference import Reference
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.output.files import publish, unfinished


class KeptReferences:
    """One reference for each stage position; a whole one is always on disk."""

    def __init__(self) -> None:
        self._known: dict[int, Reference] = {}
        self._candidates: dict[int, npt.NDArray[Any]] = {}

    def get(self, folder: Path, position: int) -> tuple[Reference | None, bool]:
        """The reference of a position, or None; and whether it was just read from ``folder``."""
        path = _path(folder, position)
        if position in self._known or not path.is_file():
            return self._known.get(position), False
        with np.load(path) as saved:
            self._known[position] = Reference.first(saved["image"], saved["at_px"].tolist())
        return self._known[position], True

    def keep(self, folder: Path, position: int, reference: Reference) -> None:
        """Take ``reference`` from now on.

        Raises
        ------
        OSError
        """
        self._known[position] = reference
        path = _path(folder, position)
        with unfinished(path).open("wb") as file:
            np.savez(file, image=reference.image, at_px=np.array(reference.at_px))
        publish(path)

    def begin_anew(self, folder: Path, position: int, image: npt.NDArray[Any]) -> bool:
        """Nothing was like the first image, which may have been dark: two in a row that are alike take its place.

        Returns whether they did: ``image`` is like the one before, which is the beginning now.
        """
        before = self._candidates.get(position)
        self._candidates[position] = image
        if before is None or not find_translation(before, image).trusted:
            return False
        self.keep(folder, position, Reference.first(before))
        return True


def _path(folder: Path, position: int) -> Path:
    return folder / f"reference_p{position:03d}.npz"
