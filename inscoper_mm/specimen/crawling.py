"""How cells crawl: exact steps of the persistent random walk, and who stands in whose way."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from inscoper_mm.specimen.changes import Motion
from inscoper_mm.specimen.outline import Outline

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
# A step is no longer than what a cell may go without looking around, and than its direction lasts.
_LONGEST_STEP_UM = 0.75
_STEPS_A_PERSISTENCE = 8
# Touching cells overlap by as much as in the pairs that the specimen begins with.
_OVERLAP = 0.95
# Pairs that may meet are looked for anew after cells have come this much nearer to each other.
_SLACK_UM = 8.0


def step_s(motion: Motion) -> float:
    """Length of a time step for cells that crawl like this."""
    persistence_s = 60 * motion.persistence_min / _STEPS_A_PERSISTENCE
    return min(persistence_s, 60 * _LONGEST_STEP_UM / max(motion.speed_um_per_min, 1e-6))


class Walk:
    """Steps of Ornstein and Uhlenbeck's process: the velocity forgets itself, the place follows it.

    Parameters
    ----------
    motion : Motion
    duration_s : float
        Of a step.

    Notes
    -----
    Velocity and place after a step are drawn together, from their exact distribution (Gillespie,
    doi:10.1103/PhysRevE.54.2084); so the mean squared displacement is Fuerth's,
    ``2 S^2 P (t - P (1 - exp(-t / P)))``, whatever the step is.
    """

    def __init__(self, motion: Motion, duration_s: float) -> None:
        memory_s = 60 * motion.persistence_min
        self._sigma = motion.speed_um_per_min / 60 / math.sqrt(2)
        self._keep = math.exp(-duration_s / memory_s)
        self._carry_s = memory_s * (1 - self._keep)
        spread = 2 * duration_s / memory_s - 3 + 4 * self._keep - self._keep**2
        self._of_velocity = self._sigma * math.sqrt(1 - self._keep**2)
        covariance = self._sigma**2 * memory_s * (1 - self._keep) ** 2
        self._common = covariance / self._of_velocity if self._of_velocity else 0.0
        rest = self._sigma**2 * memory_s**2 * spread - self._common**2
        self._own = math.sqrt(max(rest, 0.0))

    def velocities(self, random: np.random.Generator, count: int) -> _Floats:
        """Velocities (n, 2) in um/s of cells that have crawled for long."""
        return random.standard_normal((count, 2)) * self._sigma

    def step(self, random: np.random.Generator, velocity: _Floats) -> tuple[_Floats, _Floats]:
        """(n, 2) displacements in um, and the velocities after the step."""
        first, second = random.standard_normal((2, *velocity.shape))
        moved = velocity * self._carry_s + first * self._common + second * self._own
        return moved, velocity * self._keep + first * self._of_velocity


class Neighbours:
    """Who would run into whom.

    Parameters
    ----------
    outlines : list of Outline
        The cells' bodies.
    """

    def __init__(self, outlines: list[Outline]) -> None:
        self._radii = np.array([outline.radii_um for outline in outlines]).reshape(len(outlines), -1)
        self._directions = max(self._radii.shape[1] - 1, 1)
        self._reach_um = max((outline.reach_um for outline in outlines), default=0.0)
        self._pairs = np.zeros((0, 2), np.intp)
        self._seen_um: _Floats | None = None

    def meetings(self, before: _Floats, after: _Floats) -> tuple[npt.NDArray[np.intp], _Floats]:
        """Pairs (n, 2) of cells that come nearer to each other than touching cells are, and each pair's direction.

        Parameters
        ----------
        before, after : ndarray (cells, 2)
            Their centres in um.
        """
        self._look_around(before)
        one, other = self._pairs.T
        apart = after[other] - after[one]
        distance = np.hypot(apart[:, 0], apart[:, 1])
        earlier = before[other] - before[one]
        nearer = distance < np.hypot(earlier[:, 0], earlier[:, 1])
        nearer &= distance < self._contact_um(one, other, apart)
        found = np.flatnonzero(nearer)
        return self._pairs[found], apart[found] / np.maximum(distance[found], 1e-9)[:, None]

    def _look_around(self, places: _Floats) -> None:
        if self._seen_um is not None:
            moved = np.abs(places - self._seen_um).max(initial=0.0)
            # Two cells that go this far come nearer by twice the diagonal of it.
            if 2 * math.sqrt(2) * moved < _SLACK_UM:
                return
        self._seen_um = places.copy()
        reach = 2 * self._reach_um + 2 * _SLACK_UM
        self._pairs = (
            cKDTree(places).query_pairs(reach, output_type="ndarray")
            if len(places)
            else np.zeros((0, 2), np.intp)
        )

    def _contact_um(self, one: npt.NDArray[np.intp], other: npt.NDArray[np.intp], apart: _Floats) -> _Floats:
        """Distance of two centres at which the cells touch, seen along the line between them."""
        angle = np.arctan2(apart[:, 1], apart[:, 0]) / (2 * math.pi)
        towards = np.rint(angle * self._directions).astype(np.intp) % self._directions
        back = (towards + self._directions // 2) % self._directions
        return np.asarray(_OVERLAP * (self._radii[one, towards] + self._radii[other, back]))
