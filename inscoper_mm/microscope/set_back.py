"""Setting the devices of a microscope back to a snapshot, device by device, with what was found and what was left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inscoper_mm.errors import DeviceError
from inscoper_mm.microscope.snapshot import (
    CORE,
    Region,
    Setting,
    Snapshot,
    cached_properties,
    galvo_at,
    region_of,
    same_value,
)
from inscoper_mm.microscope.sub_device_ids import make_id

# Settings of one device may depend on each other: what is refused first may be taken once the others are set.
_PASSES = 3
_EXPOSURE_TOLERANCE_MS = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that was set back: its id, what it was found at, and what it was before the run and is again."""

    id: str
    found: Any
    set_to: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A setting that could not be set back, and why."""

    id: str
    why: str


def devices_to_set_back(core: Any, before: Snapshot) -> tuple[str, ...]:
    """The devices that have to be looked at; asks no device anything.

    Cameras, wheels and galvos are always among them: the Core does not remember all of their settings.
    """
    changed = {label for label, _ in _changed_in_cache(core, before)}
    asked = {*before.exposures_ms, *before.regions_px, *before.galvos, *(label for label, _ in before.modes)}
    return tuple(label for label in before.devices if label in changed or label in asked)


def set_back(core: Any, before: Snapshot, device: str) -> Iterator[Change | Failure]:
    """Set the settings of ``device`` back that are not as they were; asks the device afterwards whether it did."""
    region = region_of(core, device) if device in before.regions_px else None
    yield from _properties_back(core, before, device)
    if device in before.exposures_ms:
        yield from _exposure_back(core, device, before.exposures_ms[device])
    if region is not None:
        # After the binning: it changes what a region's pixels are, and some cameras clear the region with it.
        yield from _region_back(core, device, region, before.regions_px[device])
    if device in before.galvos:
        yield from _galvo_back(core, device, before.galvos[device])


def _changed_in_cache(core: Any, before: Snapshot) -> list[Setting]:
    now = cached_properties(core)
    return [key for key, value in before.properties.items() if not same_value(now.get(key, value), value)]


def _properties_back(core: Any, before: Snapshot, device: str) -> Iterator[Change | Failure]:
    found: dict[Setting, str] = {}
    errors: dict[Setting, str] = {}
    for _ in range(_PASSES):
        wrong = _wrong(core, before, device)
        if not wrong:
            break
        found = wrong | found
        errors = {}
        for key in wrong:
            try:
                core.setProperty(*key, before.properties[key])
            except RuntimeError as error:
                errors[key] = str(error)
        if device != CORE:
            _wait(core, device)
    left = {key: str(core.getProperty(*key)) for key in found}
    for key, value in left.items():
        was = before.properties[key]
        if same_value(value, was):
            yield Change(make_id(*key), found[key], was)
        else:
            why = errors.get(key, f"it was set to {was!r} and reports {value!r}")
            yield Failure(make_id(*key), why)


def _wrong(core: Any, before: Snapshot, device: str) -> dict[Setting, str]:
    """The settings of ``device`` that are not as before, with what they are."""
    keys = {*_changed_in_cache(core, before), *before.modes}
    now = {key: str(core.getProperty(*key)) for key in before.properties if key[0] == device and key in keys}
    return {key: value for key, value in now.items() if not same_value(value, before.properties[key])}


def _exposure_back(core: Any, camera: str, exposure_ms: float) -> Iterator[Change | Failure]:
    found = float(core.getExposure(camera))
    if abs(found - exposure_ms) <= _EXPOSURE_TOLERANCE_MS:
        return
    core.setExposure(camera, exposure_ms)
    yield _told(make_id(camera, "Exposure"), found, exposure_ms, float(core.getExposure(camera)))


def _region_back(core: Any, camera: str, found: Region, region: Region) -> Iterator[Change | Failure]:
    if found == region == region_of(core, camera):
        return
    if core.getCameraDevice() == camera:
        core.clearROI()
    if region_of(core, camera) != region:
        core.setROI(camera, *region)
    yield _told(make_id(camera, "ROI"), list(found), list(region), list(region_of(core, camera)))


def _galvo_back(core: Any, galvo: str, place: tuple[float, float]) -> Iterator[Change | Failure]:
    found = galvo_at(core, galvo)
    if _near(found, place):
        return
    core.setGalvoPosition(galvo, *place)
    _wait(core, galvo)
    left = galvo_at(core, galvo)
    yield _told(make_id(galvo), list(found), list(place), list(place) if _near(left, place) else list(left))


def _near(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-6 * max(1.0, abs(a)) for a, b in zip(one, other, strict=True))


def _told(name: str, found: Any, wanted: Any, left: Any) -> Change | Failure:
    if left == wanted or (isinstance(wanted, float) and abs(left - wanted) <= _EXPOSURE_TOLERANCE_MS):
        return Change(name, found, wanted)
    return Failure(name, f"it was set to {wanted!r} and reports {left!r}")


def _wait(core: Any, device: str) -> None:
    """Wait for a device; the Core has its own limit."""
    try:
        core.waitForDevice(device)
    except RuntimeError as error:
        raise DeviceError(f"{device} did not get ready: {error}") from error
