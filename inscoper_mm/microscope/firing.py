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
    durations_ms : ndarray
        (N,): for each place, each time.
    repetitions : int
        How often the whole round is made.
    """

    places: Places
    durations_ms: Places
    repetitions: int = 1

    @property
    def total_ms(self) -> float:
        """How long there is light, in all."""
        return float(self.durations_ms.sum()) * self.repetitions


@dataclass(slots=True)
class Fire:
    """What was really fired; it grows while firing, so that it is right after a failure too.

    ``pulses`` counts the finished pulses of each place, ``light_ms`` is the time with light of each;
    ``begin_s`` and ``end_s`` are of ``time.perf_counter``.
    """

    pulses: list[int] = field(default_factory=list)
    light_ms: list[float] = field(default_factory=list)
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
    """Fire ``shots``; afterwards light and power are as before and the spot is off, also when something fails.

    The device stays where it fired last: some show, or give, the rest of a pulse where they point.

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
    with contextlib.ExitStack() as stack:
        stack.callback(_finish, fire)
        # The illumination cannot be read; off is what it has to be, and pulses end by themselves.
        pointer.illuminate(False)
        stack.callback(_switch_off, pointer, fire)
        pointer.aim(*shots.places[0].tolist())
        stack.enter_context(light(power))
        fire.begin_s = time.perf_counter()
        _fire_all(pointer, shots, fire, give_up)


def _fire_all(pointer: Pointer, shots: Shots, fire: Fire, give_up: GiveUp) -> None:
    places, durations = shots.places.tolist(), shots.durations_ms.tolist()
    fire.pulses, fire.light_ms = [0] * len(places), [0.0] * len(places)
    for _ in range(shots.repetitions):
        for number, ((x, y), duration_ms) in enumerate(zip(places, durations, strict=True)):
            if give_up():
                return
            begin = time.perf_counter()
            # Noted before, and corrected after: a pulse during which something fails has given light.
            fire.light_ms[number] += duration_ms
            if not pointer.fire(x, y, duration_ms, give_up):
                fire.light_ms[number] += min(0.0, (time.perf_counter() - begin) * 1e3 - duration_ms)
                return
            fire.pulses[number] += 1
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
        fire.pulses, fire.light_ms = [0], [0.0]
        for _ in range(repetitions):
            if give_up():
                return
            with light(power):
                opened = time.perf_counter()
                ended = wait_until(opened + duration_ms / 1e3, give_up)
                fire.light_ms[0] += (time.perf_counter() - opened) * 1e3
            if not ended:
                return
            fire.pulses[0] += 1
        fire.complete = True


def _switch_off(pointer: Pointer, fire: Fire) -> None:
    if not fire.complete:
        pointer.illuminate(False)


def _finish(fire: Fire) -> None:
    fire.end_s = time.perf_counter()
