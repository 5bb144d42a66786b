"""Fires light at places: one after another through a pointing device, or everywhere through a shutter."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import LimitRefused
from inscoper_mm.microscope.galvo import Pointer, wait_until
from inscoper_mm.microscope.light_source import LightFor, no_light

Places = npt.NDArray[np.float64]
GiveUp = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """What to fire.

    Parameters
    ----------
    places : ndarray
        (N, 2): x and y in the pointing device's own units.
    duration_ms : float
        For each place and repetition.
    repetitions : int
        How often the whole round is made.
    """

    places: Places
    duration_ms: float
    repetitions: int = 1

    @property
    def total_ms(self) -> float:
        """How long there is light, in all."""
        return len(self.places) * self.duration_ms * self.repetitions


@dataclass(slots=True)
class Fire:
    """What was really fired; it grows while firing, so that it is right after a failure too.

    ``pulses`` counts finished pulses; ``begin_s`` and ``end_s`` are of ``time.perf_counter``.
    """

    pulses: int = 0
    light_ms: float = 0.0
    begin_s: float = field(default_factory=time.perf_counter)
    end_s: float = 0.0
    complete: bool = False


def check_reach(pointer: Pointer, places: Places) -> None:
    """Refuse places that ``pointer`` does not reach; many devices would go somewhere else without a word.

    Raises
    ------
    LimitRefused
    """
    reach = pointer.range
    for number, (x, y) in enumerate(places.tolist()):
        if not reach.has(x, y):
            raise LimitRefused(
                f"Point {number} of {len(places)} is outside the range of '{pointer.label}'. Got: x {x:.4g}, "
                f"y {y:.4g}. Allowed: {reach}. Nothing was fired."
            )


def fire_at(
    pointer: Pointer,
    shots: Shots,
    fire: Fire,
    light: LightFor = no_light,
    power: float | None = None,
    *,
    give_up: GiveUp,
) -> None:
    """Fire ``shots``; afterwards light, power and pointing device are as before, also when something fails.

    Parameters
    ----------
    pointer : Pointer
    shots : Shots
    fire : Fire
        Told what was done.
    light : callable
        Makes the context in which there is light.
    power : float, optional
    give_up : callable
        Asked between pulses and during long ones; True ends the firing.

    Raises
    ------
    LimitRefused
        If a place is out of reach; nothing was fired.
    """
    check_reach(pointer, shots.places)
    before = pointer.position()
    with contextlib.ExitStack() as stack:
        stack.callback(_finish, fire)
        stack.callback(pointer.aim, *before)
        # The illumination cannot be read; off is what it has to be after a fire.
        stack.callback(pointer.illuminate, False)
        pointer.aim(*shots.places[0].tolist())
        stack.enter_context(light(power))
        fire.begin_s = time.perf_counter()
        for _ in range(shots.repetitions):
            for x, y in shots.places.tolist():
                if give_up() or not pointer.fire(x, y, shots.duration_ms, give_up):
                    return
                fire.pulses += 1
                fire.light_ms += shots.duration_ms
        fire.complete = True


def flash(
    light: LightFor,
    duration_ms: float,
    repetitions: int,
    fire: Fire,
    power: float | None = None,
    *,
    give_up: GiveUp,
) -> None:
    """Light the whole field for ``duration_ms``, ``repetitions`` times, by opening and closing the light's shutter."""
    with contextlib.ExitStack() as stack:
        stack.callback(_finish, fire)
        fire.begin_s = time.perf_counter()
        for _ in range(repetitions):
            if give_up():
                return
            with light(power):
                opened = time.perf_counter()
                ended = wait_until(opened + duration_ms / 1e3, give_up)
                fire.light_ms += (time.perf_counter() - opened) * 1e3
            if not ended:
                return
            fire.pulses += 1
        fire.complete = True


def _finish(fire: Fire) -> None:
    fire.end_s = time.perf_counter()
