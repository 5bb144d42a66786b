"""How far the specimen has drifted: a constant velocity, and random steps between images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.changes import Drift

Vector = tuple[float, float, float]
# Steps that are drawn at once.
_BLOCK = 256


class Drifting:
    """Where drift has brought the specimen.

    Parameters
    ----------
    drift : Drift
    seed : int
        Of the random steps.
    """

    def __init__(self, drift: Drift, seed: int) -> None:
        self._velocity = np.array([drift.x_um_per_s, drift.y_um_per_s, drift.z_um_per_s])
        self._random_um = np.array(drift.random_um)
        self._every = drift.every_images
        self._seed = seed
        self._sums: npt.NDArray[np.float64] = np.zeros((1, 3))
        self.depends_on_time = bool(self._velocity.any())

    def at_um(self, image: int, time_s: float) -> Vector:
        """(dx, dy, dz) that an image of this number sees at this time."""
        total = self._velocity * time_s if self.depends_on_time else np.zeros(3)
        if self._random_um.any():
            total = total + self._steps(image // self._every)
        x, y, z = total.tolist()
        return x, y, z

    def _steps(self, count: int) -> npt.NDArray[np.float64]:
        """The sum of the first steps."""
        while len(self._sums) <= count:
            random = np.random.default_rng([self._seed, 6, len(self._sums) // _BLOCK])
            steps = random.uniform(-1.0, 1.0, (_BLOCK, 3)) * self._random_um
            self._sums = np.concatenate([self._sums, self._sums[-1] + np.cumsum(steps, axis=0)])
        found: npt.NDArray[np.float64] = self._sums[count]
        return found
