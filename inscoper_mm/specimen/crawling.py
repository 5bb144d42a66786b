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
    """Who would run into whom. Cells are numbered as they come."""

    def __init__(self) -> None:
        self._radii: _Floats = np.zeros((0, 2))
        self._reach_um: _Floats = np.zeros(0)
        self._pairs = np.zeros((0, 2), np.intp)
        self._seen_um: _Floats | None = None

    def add(self, outlines: list[Outline]) -> None:
        """More cells, with these bodies."""
        if not outlines:
            return
        radii = np.array([outline.radii_um for outline in outlines])
        self._radii = np.concatenate([self._radii, radii]) if len(self._radii) else radii
        self._reach_um = np.append(self._reach_um, radii.max(axis=1))
        self._seen_um = None

    def meetings(
        self, before: _Floats, after: _Floats, there: _Flags, scale: _Floats
    ) -> tuple[npt.NDArray[np.intp], _Floats, _Floats]:
        """Pairs of cells that are nearer to each other than touching cells, and no longer as far as before.

        Parameters
        ----------
        before, after : ndarray (cells, 2)
            Their centres in um.
        there : ndarray (cells,) of bool
            Who counts.
        scale : ndarray (cells,)
            Their size against the outlines.

        Returns
        -------
        tuple
            Pairs (n, 2), the direction (n, 2) from the first to the second, and by how much (n,) they overlap in um.
        """
        pairs, apart, overlap_um = self.overlaps(after, there, scale)
        earlier = before[pairs[:, 1]] - before[pairs[:, 0]]
        distance = np.hypot(apart[:, 0], apart[:, 1])
        nearer = np.flatnonzero(distance < np.hypot(earlier[:, 0], earlier[:, 1]))
        direction = apart[nearer] / np.maximum(distance[nearer], 1e-9)[:, None]
        return pairs[nearer], direction, overlap_um[nearer]

    def overlaps(
        self, places: _Floats, there: _Flags, scale: _Floats
    ) -> tuple[npt.NDArray[np.intp], _Floats, _Floats]:
        """All pairs that are nearer than touching cells: pairs (n, 2), from first to second (n, 2), overlap (n,)."""
        self._look_around(places, there, scale)
        one, other = self._pairs.T
        apart = places[other] - places[one]
        distance = np.hypot(apart[:, 0], apart[:, 1])
        angle = np.arctan2(apart[:, 1], apart[:, 0]) / (2 * math.pi)
        directions = self._radii.shape[1] - 1
        towards = np.rint(angle * directions).astype(np.intp) % directions
        back = (towards + directions // 2) % directions
        # Distance of two centres at which the cells touch, seen along the line between them.
        contact = self._radii[one, towards] * scale[one] + self._radii[other, back] * scale[other]
        overlap_um = _OVERLAP * contact - distance
        close = np.flatnonzero((overlap_um > 0) & there[one] & there[other])
        return self._pairs[close], apart[close], overlap_um[close]

    def _look_around(self, places: _Floats, there: _Flags, scale: _Floats) -> None:
        if self._seen_um is not None:
            moved = np.abs(places - self._seen_um).max(initial=0.0)
            # Two cells that go this far come nearer by twice the diagonal of it.
            if 2 * math.sqrt(2) * moved < _SLACK_UM:
                return
        self._seen_um = places.copy()
        numbers = np.flatnonzero(there)
        self._pairs = np.zeros((0, 2), np.intp)
        if len(numbers):
            # Cells also grow until the next look.
            reach_um = 2 * float((self._reach_um * scale)[numbers].max()) * 1.1
            pairs = cKDTree(places[numbers]).query_pairs(reach_um + 2 * _SLACK_UM, output_type="ndarray")
            self._pairs = numbers[pairs]
