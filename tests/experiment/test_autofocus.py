"""The section ``autofocus`` and ``acquisition.autofocus_plan``: read, written, joined, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.autofocus import Autofocus, autofocus_of
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.model import Experiment

HEAD = "microscope: {backend: demo}\nacquisition: {channels: [DAPI]}\n"
PLANNED = "microscope: {backend: demo}\nacquisition: {channels: [DAPI], autofocus_plan: %s}\n"


def parse(text: str) -> Experiment:
    return parse_experiment(text, Path.cwd())


def used(experiment: Experiment) -> Autofocus | None:
    return autofocus_of(experiment.autofocus, experiment.acquisition)


READ = {
    "nothing": (HEAD, None),
    "the defaults": (HEAD + "autofocus: {}\n", Autofocus()),
    "all of it": (
        HEAD
        + "autofocus: {device: PFS, mode: once, axes: [p, c], offset_drive: PFSOffset, offset_start: 120, "
        + "offset_per_um: -8.5, lost: abort, retries: 0, limit_s: 4, settle_s: 0.3}\n",
        Autofocus("PFS", "once", ("p", "c"), "PFSOffset", 120.0, -8.5, "abort", 0, 4.0, 0.3),
    ),
    "by the plan alone": (PLANNED % "{axes: [p]}", Autofocus(mode="once", axes=("p",))),
    "by the plan, with an offset": (
        PLANNED % "{axes: [t, p], autofocus_device_name: PFSOffset, autofocus_motor_offset: 0}",
        Autofocus(mode="once", axes=("t", "p"), offset_drive="PFSOffset", offset_start=0.0),
    ),
    "by the plan, the rest by the section": (
        PLANNED % "{axes: [p]}" + "autofocus: {mode: once, lost: skip_event, offset_start: 7}\n",
        Autofocus(mode="once", axes=("p",), offset_start=7.0, lost="skip_event"),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_used_and_survives_being_written(name: str) -> None:
    text, expected = READ[name]
    experiment = parse(text)
    assert used(experiment) == expected
    again = parse(dump_experiment(experiment))
    assert again == experiment
    assert used(again) == expected


WRONG = {
    "mode": (HEAD + "autofocus: {mode: always}\n", "autofocus.mode", "continuous, once"),
    "policy": (HEAD + "autofocus: {lost: retry}\n", "autofocus.lost", "continue, skip_event, abort"),
    "axes": (HEAD + "autofocus: {mode: once, axes: [z]}\n", "autofocus.axes", "a list of t, p, c"),
    "axes of what is always on": (HEAD + "autofocus: {axes: [p]}\n", "autofocus.axes", "is for 'mode: once'"),
    "no way": (HEAD + "autofocus: {offset_per_um: 0}\n", "autofocus.offset_per_um", "must not be 0"),
    "no number": (HEAD + "autofocus: {offset_start: low}\n", "autofocus.offset_start", "must be a number"),
    "no time": (HEAD + "autofocus: {limit_s: 0}\n", "autofocus.limit_s", "above 0"),
    "misspelt": (HEAD + "autofocus: {devise: PFS}\n", "autofocus.devise", "Did you mean 'device'"),
    "not a mapping": (HEAD + "autofocus: continuous\n", "autofocus", "must be a mapping"),
    "both": (
        PLANNED % "{axes: [p]}" + "autofocus: {mode: continuous}\n",
        "acquisition.autofocus_plan",
        "exclude each other",
    ),
    "an absolute stack": (
        HEAD.replace("[DAPI]", "[DAPI], z_plan: {top: 2, bottom: 0, step: 1}") + "autofocus: {mode: once}\n",
        "autofocus",
        "an absolute z plan",
    ),
    "an absolute stack and a plan": (
        PLANNED.replace("[DAPI]", "[DAPI], z_plan: {absolute: [0, 1]}") % "{axes: [p]}",
        "acquisition.autofocus_plan",
        "an absolute z plan",
    ),
    "unknown key of the plan": (
        PLANNED % "{axes: [p], motor: 3}", "acquisition.autofocus_plan.motor", "unknown key"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_once_at_its_place(name: str) -> None:
    text, field, words = WRONG[name]
    with pytest.raises(InvalidInput) as raised:
        parse(text)
    (finding,) = raised.value.findings
    assert finding.field == field
    assert finding.line is not None
    assert words in str(finding)
