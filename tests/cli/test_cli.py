"""The command line as a user meets it: exit status, messages, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inscoper_mm.library import library_scripts

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo

COMMAND = [sys.executable, "-m", "inscoper_mm.cli"]
EXPERIMENT = """\
name: cli
microscope: {backend: demo}
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 5}]
  time_plan: {interval: 0.1, loops: LOOPS}
script: {file: script.py, policy: {place: thread}}
"""
FINE = """
def fetch_images(new_image: "images"):
    return [{}]

def look(images: "images"):
    return {"metadata": {"SEEN": 1}}
"""
WARNS = FINE.replace('"SEEN": 1', '"WARNINGS": ["dim: 2 [times] the noise. Use more light."]')
RAISES = FINE.replace('return {"metadata"', 'raise ValueError("no cells today")\n    return {"metadata"')
SLEEPS = FINE.replace('return {"metadata"', 'import time; time.sleep(60)\n    return {"metadata"')

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an experiment with its script."""

    def write(script: str = FINE, loops: int = 3, change: tuple[str, str] = ("", "")) -> Path:
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        config = tmp_path / "cli.yaml"
        config.write_text(EXPERIMENT.replace("LOOPS", str(loops)).replace(*change), encoding="utf-8")
        return config

    return write


def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def report_of(output: Path) -> dict[str, object]:
    (folder,) = output.iterdir()
    report: dict[str, object] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return report


STATUS = {
    "completed": (FINE, ("", ""), 0, "completed", "3 of 3 images stored"),
    "script errors": (RAISES, ("", ""), 3, "completed", "no cells today"),
    "warnings of the script": (
        WARNS,
        ("", ""),
        0,
        "completed",
        "Warnings: 3 of 3 images: dim 3.   t000_p000_c0_z000: dim: 2 [times] the noise. Use more light.",
    ),
    "aborted by the policy": (
        RAISES,
        ("place: thread", "place: thread, error: abort"),
        1,
        "aborted",
        "no cells today",
    ),
    "unknown key": (FINE, ("exposure", "exposur"), 2, None, "Did you mean 'exposure'"),
    "unknown preset": (FINE, ("DAPI", "DAPPI"), 2, None, "Did you mean 'DAPI'"),
    "wrong parameter": (FINE, ("script.py,", "script.py, parameters: {siz: 3},"), 2, None, "cli.yaml:6"),
    "no such script": (FINE, ("script.py", "scrip.py"), 2, None, "cli.yaml:6"),
    "wrong script": ("x = 1\n", ("", ""), 2, None, "script.py"),
}


@pytest.mark.parametrize("name", STATUS)
def test_the_exit_status_says_how_it_went(write: Write, tmp_path: Path, name: str) -> None:
    script, change, status, state, words = STATUS[name]
    output = tmp_path / "runs"
    result = cli("run", write(script, change=change), "--output", output)
    assert result.returncode == status, result.stdout + result.stderr
    assert words in result.stdout.replace("\n", " ")
    if state is None:
        assert not output.exists() or not list(output.iterdir())
    else:
        assert report_of(output)["state"] == state


def test_set_changes_a_value_for_one_run(write: Write, tmp_path: Path) -> None:
    result = cli("run", write(), "-o", tmp_path / "runs", "--set", "acquisition.time_plan.loops=2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2 images stored" in result.stdout
    assert cli("run", write(), "--set", "loops").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a test cannot send Ctrl-C to one program there")
@pytest.mark.parametrize(("script", "presses"), [(FINE, 1), (SLEEPS, 2)], ids=["once", "twice"])
def test_ctrl_c_ends_the_run_and_closes_the_data(
    write: Write, tmp_path: Path, script: str, presses: int
) -> None:
    output = tmp_path / "runs"
    config = write(script, loops=1000, change=("place: thread", "place: worker"))
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "-o", str(output)], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        end = time.monotonic() + 120
        while not any('"stored"' in path.read_text() for path in output.glob("*/events.jsonl")):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        printed = ""
        while "Finishing" not in printed:  # two signals at once would count as one
            printed += process.stdout.readline()
            assert process.poll() is None, printed
        if presses == 2:
            process.send_signal(signal.SIGINT)
        printed += process.stdout.read()
        process.wait(60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Stopped" in printed
    report = report_of(output)
    assert report["state"] == "stopped"
    counts = report["counts"]
    assert isinstance(counts, dict)
    assert 0 < counts["stored"] == counts["captured"] < 1000
    assert "All lights are off." in printed
    left = report["at_end"]
    assert isinstance(left, dict)
    assert left["lights"] == {"White Light Shutter": "closed", "LED Shutter": "closed", "Galvo": "off"}
    assert not left["failed"]


def test_check_counts_the_calls_and_acquires_nothing(write: Write, tmp_path: Path) -> None:
    result = cli("check", write(), "--json")
    assert result.returncode == 0, result.stdout
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert (report["scripts"][0]["processed"], report["scripts"][0]["images"]) == (3, 3)
    assert cli("check", write(), "--load").stdout.startswith("Initialising the devices")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) in ([], ["__pycache__"])


def test_check_tells_every_finding_with_its_place(write: Write) -> None:
    result = cli("check", write(change=("DAPI, exposure: 5", "DAPPI, exposure: 5")), "--json")
    assert result.returncode == 2
    (finding,) = [each for each in json.loads(result.stdout)["findings"] if each["level"] == "error"]
    assert finding["file"].endswith("cli.yaml")
    assert finding["line"] == 4
    assert finding["field"] == "acquisition.channels[0].config"
    assert finding["suggestion"] == "DAPI"


def test_scripts_lists_the_library_and_explains_one() -> None:
    listed = cli("scripts").stdout
    assert all(name in listed for name in library_scripts())
    one = cli("scripts", "autofocus").stdout
    assert "auto_focus()" in one
    schema = json.loads(cli("scripts", "autofocus", "--json-schema").stdout)
    assert schema["type"] == "object"
    wrong = cli("scripts", "autofocuss")
    assert wrong.returncode == 2
    assert "Did you mean 'autofocus'" in wrong.stderr.replace("\n", " ")


def test_a_sub_device_that_only_the_loaded_devices_know_to_be_missing(write: Write, tmp_path: Path) -> None:
    """No line of the .cfg names a gain, so that the file alone cannot tell; the run does, before it begins."""
    takes = FINE.replace(
        'look(images: "images")', 'look(images: "images", device: "SubDeviceId" = "Camera.Gian")'
    )
    shown = cli("run", write(takes), "--output", tmp_path / "runs")
    assert shown.returncode == 2
    said = " ".join(shown.stdout.split())
    assert "parameter 'device'" in said
    assert "Did you mean 'Camera.Gain'?" in said
    assert not (tmp_path / "runs").exists()


def test_devices_reads_a_configuration() -> None:
    shown = cli("devices", "galvo", "--json")
    assert shown.returncode == 0
    config = json.loads(shown.stdout)
    assert config["roles"]["Camera"] == "Camera"
    assert set(config["groups"]["Channel"]) == {"DAPI", "FITC", "Rhodamine", "Cy5"}
    assert config["pixel_sizes_um"]["Res10x"] == 1.0
    ids = {each["id"]: each for each in config["sub_devices"]}
    assert (ids["XY.X"]["kind"], ids["XY.X"]["unit"]) == ("stage", "um")
    assert ids["LED"]["values"][:2] == ["Closed", "385nm"]
    assert "value" not in ids["LED"]
    assert cli("devices", "galvoo").returncode == 2


@pytest.mark.demo
def test_devices_shows_what_can_be_set_and_its_values() -> None:
    loaded = json.loads(cli("devices", "galvo_2cam_lasers", "--load", "--json").stdout)
    values = {each["id"]: each["value"] for each in loaded["sub_devices"]}
    assert loaded["complete"]
    assert (values["Laser405"], values["Objective"]) == (False, "Nikon 10X S Fluor")
    assert (values["Galvo"], values["Camera.Binning"]) == ([0.0, 0.0], 1)


def test_devices_shows_the_labs_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "microscope: {backend: demo}\nacquisition: {time_plan: {interval: 0, loops: 1}}\n"
    own = tmp_path / "own.yaml"
    own.write_text(text + "aliases: {Turret: Objective, Wrong: Objctive}\n", encoding="utf-8")
    site = tmp_path / "site.yaml"
    site.write_text("aliases: {Lamp: LED, Piezo: PiezoStage:P:34}\n", encoding="utf-8")
    monkeypatch.setenv("INSCOPER_MM_SITE", str(site))
    told = json.loads(cli("devices", str(own), "--json").stdout)
    assert told["aliases"] == {"Lamp": "LED", "Turret": "Objective"}
    assert [each["field"] for each in told["findings"]] == ["aliases.Wrong"]
    shown = cli("devices", str(own))
    (row,) = [line for line in shown.stdout.splitlines() if "Turret" in line]
    assert row.split()[:3] == ["Objective", "Turret", "state"]
    assert shown.returncode == 2
    assert "Did you mean 'Objective'" in shown.stdout.replace("\n", " ")
