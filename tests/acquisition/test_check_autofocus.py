"""What the check says about a hardware autofocus: asked and not there, there and not used, not able to be shifted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.check import check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of
from inscoper_mm.errors import Finding
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope

AUTOFOCUS, GALVO = "demo_autofocus.cfg", "demo_galvo.cfg"
PLAIN = "acquisition: {channels: [DAPI], stage_positions: [{x: 0, y: 0, z: 0}]}\n"
OFFSET = "acquisition: {channels: [{config: DAPI, z_offset: 2}], stage_positions: [{x: 0, y: 0, z: 0}]}\n"
PLAN = "acquisition: {channels: [DAPI], stage_positions: [{x: 0, y: 0, z: 0}], autofocus_plan: {axes: [p]}}\n"

Told = Callable[..., list[Finding]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The findings about the autofocus."""

    def check(config: str, text: str, **options: Any) -> list[Finding]:
        file = tmp_path / "experiment.yaml"
        path = library_dir("mm_demo_config") / config
        head = f"microscope: {{backend: demo, config: '{path.as_posix()}'}}\n"
        file.write_text(head + text, encoding="utf-8")
        report = check_experiment(file, output=tmp_path, **options)
        words = ("autofocus", "focus that", "drive", "device")
        return [each for each in report.findings if any(word in each.message for word in words)]

    return check


FROM_FILE = {
    "not there and not asked": (GALVO, PLAIN, None),
    "there and not used": (AUTOFOCUS, PLAIN, ("info", 1, "'Autofocus' of .* is not used")),
    "used": (AUTOFOCUS, PLAIN + "autofocus: {device: Autofocus}\n", None),
    "asked by the plan": (AUTOFOCUS, PLAN, None),
    "no role": (GALVO, PLAIN + "autofocus: {mode: once}\n", ("warning", 3, "names no autofocus device")),
    "no role, asked by the plan": (GALVO, PLAN, ("warning", 2, "names no autofocus device")),
    "misspelt": (
        AUTOFOCUS, PLAIN + "autofocus: {device: Autofokus}\n", ("error", 3, "no device 'Autofokus'.*mean 'Autofocus'")
    ),
    "misspelt drive": (
        AUTOFOCUS,
        PLAIN + "autofocus:\n  offset_drive: Focus Ofset\n",
        ("error", 4, "no device 'Focus Ofset'.*mean 'Focus Offset'"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_FILE)
def test_what_the_file_alone_shows(told: Told, name: str) -> None:
    config, text, expected = FROM_FILE[name]
    _compare(told(config, text), expected)


def _compare(findings: list[Finding], expected: tuple[str, int, str] | None) -> None:
    if expected is None:
        assert findings == []
        return
    (finding,) = findings
    level, line, words = expected
    assert (finding.level, finding.line) == (level, line)
    assert re.search(words, str(finding))


LOADED = {
    "there and not used": (PLAIN, ("info", 1, "'Autofocus' of .* is not used")),
    "used": (PLAIN + "autofocus: {mode: continuous}\n", None),
    "misspelt": (
        PLAIN + "autofocus: {device: Autofokus}\n",
        ("error", 3, "Allowed: Demo Autofocus, Autofocus"),
    ),
    "no autofocus device": (
        PLAIN + "autofocus: {device: Camera}\n",
        ("error", 3, "no autofocus device 'Camera'"),
    ),
    "no drive": (PLAIN + "autofocus: {offset_drive: XY}\n", ("error", 3, "no drive 'XY'.*Focus Offset")),
    "its own offset": (PLAIN + "autofocus: {device: Demo Autofocus}\n", None),
}


@pytest.fixture(scope="module")
def loaded(_microscope: Microscope) -> Any:
    core, folder = _microscope.core, library_dir("mm_demo_config")
    core.loadSystemConfiguration(str(folder / AUTOFOCUS))
    yield _microscope
    core.loadSystemConfiguration(str(folder / GALVO))


@pytest.mark.demo
@pytest.mark.parametrize("name", LOADED)
def test_what_the_loaded_devices_show(told: Told, loaded: Microscope, name: str) -> None:
    text, expected = LOADED[name]
    _compare(told(AUTOFOCUS, text, look=lambda experiment: facts_of(loaded)), expected)
    assert loaded.core.getAutoFocusDevice() == "Autofocus"


@pytest.mark.demo
@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        (PLAIN, "warning", "corrections of the focus will be refused"),
        (OFFSET, "error", "the z_offset of a channel cannot be kept"),
    ],
)
def test_an_offset_that_cannot_be_set_is_told(
    told: Told, loaded: Microscope, monkeypatch: pytest.MonkeyPatch, text: str, level: str, words: str
) -> None:
    def fixed(value: float) -> None:
        raise RuntimeError("the offset cannot be set")

    monkeypatch.setattr(loaded.core, "isContinuousFocusDrive", lambda label: False)
    monkeypatch.setattr(loaded.core, "setAutoFocusOffset", fixed)
    section = "autofocus: {mode: continuous}\n"
    _compare(told(AUTOFOCUS, text + section, look=lambda experiment: facts_of(loaded)), (level, 3, words))
    _compare(
        told(AUTOFOCUS, PLAIN + "autofocus: {mode: once}\n", look=lambda experiment: facts_of(loaded)), None
    )


@pytest.mark.demo
def test_several_drives_must_be_told_apart(
    told: Told, loaded: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    drives = ("Focus Offset", "Z")
    monkeypatch.setattr(loaded.core, "isContinuousFocusDrive", lambda label: label in drives)
    section = PLAIN + "autofocus: {mode: continuous}\n"
    look = {"look": lambda experiment: facts_of(loaded)}
    _compare(told(AUTOFOCUS, section, **look), ("error", 3, "several drives.*autofocus.offset_drive"))
    _compare(told(AUTOFOCUS, PLAIN + "autofocus: {offset_drive: Focus Offset}\n", **look), None)


@pytest.fixture
def without(loaded: Microscope) -> Any:
    for device in ("Demo Focus Offset", "Demo Autofocus", "Autofocus"):
        loaded.core.unloadDevice(device)
    yield loaded
    loaded.core.loadSystemConfiguration(str(library_dir("mm_demo_config") / AUTOFOCUS))


@pytest.mark.demo
def test_no_autofocus_device_at_all(told: Told, without: Microscope) -> None:
    look = {"look": lambda experiment: facts_of(without)}
    _compare(
        told(AUTOFOCUS, PLAIN + "autofocus: {mode: once}\n", **look), ("error", 3, "has no autofocus device")
    )
    _compare(told(AUTOFOCUS, PLAN, **look), ("error", 2, "has no autofocus device"))
    _compare(told(AUTOFOCUS, PLAIN, **look), None)
