"""The parameters of what changes with time: the clock, drift, and what the cells do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Time:
    """What the specimen's time is.

    Parameters
    ----------
    per_image_s : float, optional
        Image number i is seen at ``i * per_image_s``, and what happens after it and before the next one happens
        at that time: same exposures, same images. Left out: a clock tells the time.
    """

    per_image_s: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """How the specimen moves under the microscope, all of it: cells along the stage's axes, the focal plane along z.

    Parameters
    ----------
    x_um_per_s, y_um_per_s, z_um_per_s : float
        Velocity.
    random_um : tuple of float
        (x, y, z): after every ``every_images`` images, a step of any size from -random_um to random_um.
    every_images : int
    """

    x_um_per_s: float = 0.0
    y_um_per_s: float = 0.0
    z_um_per_s: float = 0.0
    random_um: tuple[float, float, float] = (0.0, 0.0, 0.0)
    every_images: int = 1


@dataclass(frozen=True, slots=True)
class Motion:
    """How cells crawl: a persistent random walk (Ornstein and Uhlenbeck's, doi:10.1103/PhysRev.36.823).

    Parameters
    ----------
    moving_fraction : float
        Share of the cells that crawl; the others stay where they are for ever.
    speed_um_per_min : float
        Root of the mean squared speed of a cell that meets no other.
    persistence_min : float
        Time after which a cell has mostly forgotten its direction.
    """

    moving_fraction: float = 1.0
    speed_um_per_min: float = 0.5
    persistence_min: float = 10.0


@dataclass(frozen=True, slots=True)
class Division:
    """How cells grow and divide: the area of the body doubles in each cycle, and is shared by the daughters.

    Parameters
    ----------
    cycle_h : float
        Mean time from birth to division.
    spread : float
        Standard deviation of the cycles against their mean.
    mitosis_min : float
        How long a cell is round before it divides, and how long its daughters need to spread.
    """

    cycle_h: float = 20.0
    spread: float = 0.1
    mitosis_min: float = 40.0


@dataclass(frozen=True, slots=True)
class Death:
    """How cells die: they round up and shrink, then fade away.

    Parameters
    ----------
    per_h : float
        Probability of death per hour of a cell that does not divide just now.
    fade_min : float
        Time from the first sign until nothing is left.
    """

    per_h: float = 0.01
    fade_min: float = 60.0


LIMITS: dict[str, tuple[float, float]] = {
    "per_image_s": (0, 1e6),
    "x_um_per_s": (-1e3, 1e3),
    "y_um_per_s": (-1e3, 1e3),
    "z_um_per_s": (-1e3, 1e3),
    "random_um": (0, 1e3),
    "every_images": (1, 10**9),
    "moving_fraction": (0, 1),
    "speed_um_per_min": (0, 100),
    "persistence_min": (0.01, 1e6),
    "cycle_h": (0.1, 1e4),
    "spread": (0, 0.5),
    "mitosis_min": (0.5, 600),
    "per_h": (0, 100),
    "fade_min": (0.5, 1e4),
}
