"""How well a segmentation found the cells that are really there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.truth import Labels, Truth


@dataclass(frozen=True, slots=True)
class Match:
    """A segmentation compared with the truth.

    ``pairs`` has the found label of each true label that was found. Cells that are cut by the border of the
    field are neutral: to find them is not wrong, to miss them neither; nothing below counts them.

    Parameters
    ----------
    pairs : dict
    true, found, hits : int
        Whole cells that are there; found objects that are no cut cell; whole cells that were found.
    isolated, isolated_hits : int
        Isolated whole cells, and those of them that were found.
    """

    pairs: dict[int, int]
    true: int
    found: int
    hits: int
    isolated: int
    isolated_hits: int

    @property
    def precision(self) -> float:
        """Share of the found objects that are cells; 1 where nothing was found."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the cells that were found; 1 where there are none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.true + self.found
        return 2 * self.hits / total if total else 1.0

    @property
    def isolated_recall(self) -> float:
        """Share of the isolated cells that were found; 1 where there are none."""
        return self.isolated_hits / self.isolated if self.isolated else 1.0

    @property
    def false_fraction(self) -> float:
        """Share of the found objects that are no cell, merged and split cells included."""
        return 1.0 - self.precision


def match(
    found: npt.NDArray[np.integer[Any]], truth: Truth, iou: float = 0.5, labels: Labels | None = None
) -> Match:
    """Compare found labels with the truth.

    Parameters
    ----------
    found : ndarray (Y, X)
        Labels from 1; 0 is background.
    truth : Truth
    iou : float
        Least intersection over union of a hit, 0.5 or more, so that each object has one partner at most.
    labels : ndarray (Y, X), optional
        What should have been found: ``truth.labels`` or ``truth.nuclei``; by default what the channel shows.

    Returns
    -------
    Match
    """
    if iou < 0.5:
        raise ValueError(f"iou must be 0.5 or more, got {iou}")
    wanted = truth.visible if labels is None else labels
    pairs = _pairs(found, wanted, iou)
    present = set(np.unique(wanted).tolist()) - {0}
    whole = {cell.label for cell in truth.cells if cell.whole} & present
    isolated = {cell.label for cell in truth.cells if cell.whole and cell.isolated} & present
    cut = sum(1 for label in pairs if label not in whole)
    return Match(
        pairs=pairs,
        true=len(whole),
        found=np.unique(found[found > 0]).size - cut,
        hits=len(whole & pairs.keys()),
        isolated=len(isolated),
        isolated_hits=len(isolated & pairs.keys()),
    )


def _pairs(found: npt.NDArray[np.integer[Any]], wanted: Labels, iou: float) -> dict[int, int]:
    """The found label of each wanted label with enough overlap."""
    found_area = np.bincount(found.ravel())
    wanted_area = np.bincount(wanted.ravel())
    both = (found > 0) & (wanted > 0)
    keys, shared = np.unique(
        wanted[both].astype(np.int64) * found_area.size + found[both].astype(np.int64), return_counts=True
    )
    true_labels, found_labels = np.divmod(keys, found_area.size)
    union = wanted_area[true_labels] + found_area[found_labels] - shared
    good = shared >= iou * union
    # At exactly one half two partners are possible: the first is taken.
    return dict(zip(true_labels[good][::-1].tolist(), found_labels[good][::-1].tolist(), strict=True))
