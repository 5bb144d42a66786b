"""Firing in a run: what scripts fire with, the regions they have published, what was fired, and fires that go on."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inscoper_mm.acquisition.firing_lights import FiringLights
from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.experiment.calibration import GalvoCalibration
from inscoper_mm.experiment.photomanipulation import MOST_REPETITIONS, Photomanipulation
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.microscope.aiming import Aim, Region, calibration_for, spot_px
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.dose import Dose, DoseLedger
from inscoper_mm.microscope.firing import Fire, Shots, check_reach, fire_at, flash
from inscoper_mm.microscope.galvo import Pointer
from inscoper_mm.microscope.light_source import LightFor, LightSource, no_light
from inscoper_mm.microscope.live_devices import SubDevices

# The turn is waited for twice as long: a fire that is allowed never makes an event fail.
LONGEST_S = 300.0
_END_LIMIT_S = 30.0

Rois = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a script asks for; what it leaves out is None."""

    roi: Any = None
    sub_device: str | None = None
    duration_ms: float | None = None
    power: float | None = None
    repetitions: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A fire that was decided: checked in every respect, nothing sent yet."""

    info: FrameInfo
    settings: Photomanipulation
    pointer: Pointer | None
    light: LightSource | None
    power: float | None
    known_power: float | None
    spot_px: float | None
    regions: tuple[Region, ...]
    shots: Shots

    @property
    def dose(self) -> Dose:
        """What will be given, in all."""
        return self.dose_of(self.shots.total_ms)

    @property
    def target(self) -> str:
        """The sub-device that is fired through."""
        if self.pointer is not None:
            return self.pointer.label
        return self.light.label if self.light is not None else ""

    @property
    def power_mw(self) -> float | None:
        """The power at the specimen, where it is known."""
        known, factor = self.known_power, self.settings.mw_per_unit
        return None if known is None or factor is None else known * factor

    def dose_of(self, time_ms: float) -> Dose:
        """The dose of so much time with light."""
        return Dose.of(time_ms, self.known_power, self.settings.mw_per_unit)

    def to_dict(self) -> dict[str, Any]:
        """What will be commanded, as JSON values."""
        return {
            "sub_device": self.target,
            "light": self.light.label if self.light is not None else None,
            "power": self.known_power,
            "points": len(self.shots.places),
            "repetitions": self.shots.repetitions,
            "light_ms": self.shots.total_ms,
            "dose": self.dose.to_dict(),
        }


class Firing:
    """What all scripts of a run share for firing.

    Parameters
    ----------
    microscope : Microscope
    devices : SubDevices
    settings : Photomanipulation, optional
        The experiment's.
    calibrations : sequence of GalvoCalibration
    """

    def __init__(
        self,
        microscope: Microscope,
        devices: SubDevices,
        settings: Photomanipulation | None = None,
        calibrations: Sequence[GalvoCalibration] = (),
    ) -> None:
        self._microscope = microscope
        self._settings = settings or Photomanipulation()
        self._lights = FiringLights(microscope.core, devices, self._settings)
        self._calibrations = tuple(calibrations)
        self._published: dict[str, tuple[FrameInfo, Rois]] = {}
        self._going_on: threading.Thread | None = None
        self.ledger = DoseLedger()

    # -- regions

    def published(self, script: str, info: FrameInfo, rois: Rois) -> None:
        """Keep the regions that ``script`` published for the image ``info``: `Asked` without a region means these."""
        self._published[script] = (info, rois)

    # -- deciding

    def decide(self, script: str, info: FrameInfo, asked: Asked) -> Order:
        """Check everything and work out the points; touches nothing.

        Raises
        ------
        CommandRefused, LimitRefused
            With what is allowed. Nothing was fired.
        """
        settings = self._settings
        repetitions = settings.repetitions
        if asked.repetitions is not None:
            repetitions = _whole("repetitions", asked.repetitions)
        if asked.duration_ms is not None:
            settings = replace(settings, duration_ms=_positive("duration_ms", asked.duration_ms))
        pointer, light = self._lights.chosen(asked.sub_device, is_region=asked.roi is not None)
        power = self._lights.power(asked.power, light)
        regions: tuple[Region, ...] = ()
        spot: float | None = None
        if pointer is None:
            shots = Shots(np.zeros((1, 2)), np.array([settings.duration_ms]), repetitions)
        else:
            regions, spot, info = self._aim(script, info, asked, settings, pointer)
            shots = _shots(regions, settings, repetitions)
            check_reach(pointer, shots.places)
        if shots.total_ms > LONGEST_S * 1e3:
            raise LimitRefused(
                f"The fire would last {shots.total_ms / 1e3:.1f} s. Allowed: {LONGEST_S:g} s; no image can be taken "
                "meanwhile. Fire in several parts. Nothing was fired."
            )
        known = power if power is not None else self._lights.present_power(light)
        return Order(info, settings, pointer, light, power, known, spot, regions, shots)

    def _aim(
        self, script: str, info: FrameInfo, asked: Asked, settings: Photomanipulation, pointer: Pointer
    ) -> tuple[tuple[Region, ...], float | None, FrameInfo]:
        rois = asked.roi
        if rois is None:
            if script not in self._published:
                raise CommandRefused(
                    "There is no region to fire at: none was given, and the script has not published a 'roi' yet. "
                    "Nothing was fired."
                )
            info, rois = self._published[script]
        geometry = self._microscope.geometry
        calibration = calibration_for(self._calibrations, pointer.label, geometry.optics)
        aim = Aim(geometry.view(), self._microscope.position(), calibration)
        regions = aim.regions([rois] if isinstance(rois, Mapping) else _listed(rois), info, settings)
        try:
            spot = spot_px(settings, calibration, info)
        except CommandRefused:
            spot = None  # single points were asked for, and nobody knows how large they are
        return regions, spot, info

    def pointing(self) -> tuple[Pointer, LightSource | None, float | None]:
        """What points, its light and the power to set, by the experiment alone.

        Raises
        ------
        CommandRefused
            If the experiment points nothing.
        """
        pointer, light = self._lights.chosen(None, is_region=True)
        if pointer is None:
            raise CommandRefused("The experiment's 'photomanipulation: sub_device' is no galvo.")
        return pointer, light, self._lights.power(None, light)

    # -- doing

    def carry_out(self, order: Order, fire: Fire, give_up: Callable[[], bool]) -> None:
        """Fire; ``fire`` is told what was really done, also when something fails."""

        def ended() -> bool:
            return give_up() or self._microscope.give_up()

        light: LightFor = order.light.lit if order.light is not None else no_light
        if order.pointer is not None:
            fire_at(order.pointer, order.shots, fire, light, order.power, give_up=ended)
        else:
            duration_ms = float(order.shots.durations_ms[0])
            flash(light, duration_ms, order.shots.repetitions, fire, order.power, give_up=ended)

    # -- fires that go on after their command

    def go_on(self, job: Callable[[], None], name: str) -> None:
        """Do ``job``, which raises nothing, in a thread of its own."""
        self._going_on = threading.Thread(target=job, name=f"inscoper-mm {name}", daemon=True)
        self._going_on.start()

    def finish(self, limit_s: float = LONGEST_S + _END_LIMIT_S) -> None:
        """Wait for a fire that goes on."""
        thread = self._going_on
        if thread is not None:
            thread.join(limit_s)


def _shots(regions: Sequence[Region], settings: Photomanipulation, repetitions: int) -> Shots:
    each = settings.duration_ms
    durations = [
        np.full(len(region.places), each / len(region.places) if settings.per == "region" else each)
        for region in regions
    ]
    return Shots(
        np.concatenate([region.places for region in regions]), np.concatenate(durations), repetitions
    )


def _listed(rois: Any) -> Rois:
    if not isinstance(rois, list | tuple):
        raise CommandRefused(
            "roi must be a region {'type', 'points', 'unit'} or a list of regions. "
            f"Got: {type(rois).__name__}. Nothing was fired."
        )
    return rois


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise LimitRefused(f"{name} must be a finite number above 0. Got: {value!r}. Nothing was fired.")
    return float(value)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_REPETITIONS:
        raise LimitRefused(
            f"{name} must be a whole number from 1 to {MOST_REPETITIONS}. Got: {value!r}. Nothing was fired."
        )
    return value
