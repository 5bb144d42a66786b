"""What an experiment fires with, against what is known about the microscope, and whether the galvo is calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import CommandRefused, InvalidInput, one_of
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics, load_calibrations
from inscoper_mm.experiment.document import KeyPath
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.photomanipulation import Photomanipulation
from inscoper_mm.microscope.aiming import calibration_for
from inscoper_mm.microscope.device_values import wanted
from inscoper_mm.microscope.sub_devices import Inventory, SubDevice

METHOD = "fireOnDemand"
_SECTION: KeyPath = ("photomanipulation",)
_CALIBRATIONS: KeyPath = ("microscope", "calibrations")
_MEASURE = "Measure it: inscoper-mm calibrate galvo; then name the file in 'microscope: calibrations:'."


def check_fire(experiment: Experiment, facts: MicroscopeFacts, notes: Notes) -> None:
    """Note devices of the section ``photomanipulation`` that are not there, or that cannot do what is asked."""
    settings, inventory = experiment.photomanipulation, _inventory(experiment, facts)
    if settings is None or inventory is None:
        return
    pointer = _named(settings.sub_device, "sub_device", ("galvo", "switch"), inventory, facts, notes)
    _named(settings.light, "light", ("switch",), inventory, facts, notes)
    _power(settings, inventory, facts, notes)
    if settings.sub_device is None and settings.light is None and not _galvos(inventory) and facts.all_known:
        message = f"{facts.config} has no galvo, and no light is named: nothing can be fired."
        notes.add("error", _SECTION, message, cure="Name a shutter or light in 'sub_device'.")
    if pointer is None or pointer.access == "galvo":
        _calibration(experiment, facts, notes, _SECTION, "")


def check_script_fire(
    experiment: Experiment,
    name: str,
    used: Iterable[str],
    facts: MicroscopeFacts | None,
    notes: Notes,
    path: KeyPath,
) -> None:
    """Warn of a script that fires through a galvo that is not calibrated, where the experiment has no settings."""
    if facts is not None and METHOD in used and experiment.photomanipulation is None:
        _calibration(experiment, facts, notes, path, f"{name} uses {METHOD}(): ")


def _named(
    name: str | None,
    key: str,
    access: Sequence[str],
    inventory: Inventory,
    facts: MicroscopeFacts,
    notes: Notes,
) -> SubDevice | None:
    if name is None:
        return None
    found = inventory.find(name)
    path = (*_SECTION, key)
    fit = [each.id for each in inventory if each.access in access]
    if found is None:
        if not inventory.is_open(name):
            message = f"{facts.config} has no sub-device '{name}'."
            notes.add("error", path, message, got=name, allowed=one_of(fit), suggestion=inventory.near(name))
    elif found.access not in access:
        message = f"'{name}' is of the kind '{found.kind}' and cannot be used here."
        notes.add("error", path, message, got=name, allowed=one_of(fit))
    return found


def _power(settings: Photomanipulation, inventory: Inventory, facts: MicroscopeFacts, notes: Notes) -> None:
    name = settings.power_device
    if name is None:
        return
    if settings.light is None:
        message = "a power is set for a light: name it in 'light'."
        notes.add("error", (*_SECTION, "power_device"), message)
    found = inventory.find(name)
    if found is None:
        if not inventory.is_open(name):
            message = f"{facts.config} has no sub-device '{name}'."
            powers = one_of(inventory.ids("power"))
            near = inventory.near(name)
            notes.add(
                "error", (*_SECTION, "power_device"), message, got=name, allowed=powers, suggestion=near
            )
        return
    if settings.power is None:
        return
    try:
        wanted(found, settings.power)
    except CommandRefused as error:
        notes.add("error", (*_SECTION, "power"), str(error))


def _calibration(
    experiment: Experiment, facts: MicroscopeFacts, notes: Notes, path: KeyPath, who: str
) -> None:
    """Warn where regions would be refused for want of a calibration of the galvo in use."""
    galvo = _galvo_of(experiment, _inventory(experiment, facts))
    if galvo is None or not facts.camera:
        return
    found: list[GalvoCalibration] = []
    for file in experiment.microscope.calibrations:
        try:
            found += [each for each in load_calibrations([file]) if isinstance(each, GalvoCalibration)]
        except InvalidInput:
            return  # told with the calibration files
    if not found:
        message = f"{who}the galvo '{galvo}' is not calibrated: firing at regions will be refused."
        notes.add("warning", path, message, cure=_MEASURE)
        return
    try:
        fits = calibration_for(found, galvo, Optics(facts.camera, facts.objective, facts.preset))
    except CommandRefused as error:
        text = str(error).removesuffix(" Nothing was fired.")
        notes.add("warning", _CALIBRATIONS, f"{who}firing at regions will be refused: {text}")
        return
    settings = experiment.photomanipulation or Photomanipulation()
    if settings.fill != "points" and not (settings.spot_px or settings.spot_um or fits.spot_px):
        message = "the size of the spot is not known: areas cannot be filled."
        notes.add("warning", path, message, cure="Give 'spot_um', or 'fill: points'.")


def _galvo_of(experiment: Experiment, inventory: Inventory | None) -> str | None:
    """The galvo that points, where it is certain."""
    if inventory is None:
        return None
    settings = experiment.photomanipulation
    if settings is not None and settings.sub_device is not None:
        found = inventory.find(settings.sub_device)
        return found.device if found is not None and found.access == "galvo" else None
    galvos = _galvos(inventory)
    return galvos[0].device if len(galvos) == 1 else None


def _inventory(experiment: Experiment, facts: MicroscopeFacts) -> Inventory | None:
    return None if facts.inventory is None else facts.inventory.with_aliases(experiment.aliases)


def _galvos(inventory: Inventory) -> list[SubDevice]:
    return [each for each in inventory if each.access == "galvo"]
