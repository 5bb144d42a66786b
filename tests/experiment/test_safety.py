"""The section ``safety``, and the site and user files that have one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment import site_file
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.safety import Distances, ExclusionZone, LightLimits, Safety
from inscoper_mm.experiment.site_file import SITE_VARIABLE, read_site_file, read_site_files, site_paths

HEAD = "microscope: {backend: demo}\nacquisition: {channels: [DAPI]}\n"
EVERYTHING = """\
safety:
  stage: {x_um: [-5000, 5000], y_um: [-4000, 4000]}
  focus_um: [-200, 200]
  exclusion_zones:
    - {name: clamp, x_um: [900, 1000], y_um: [-50, 50]}
    - {x_um: [-100, -90], y_um: [0, 5], focus_um: [10, 200]}
  largest_step: {stage_um: 500, focus_um: 20, per_objective: {63X Oil: {focus_um: 5}}}
  travel_per_min: {stage_um: 60000}
  light: {ms_per_position: 500, mj_total: 20, largest_duration_ms: 100, largest_power: {Blue laser: 5}}
  sub_devices: {Laser405Power.Volts: [0, 5], Objective: [10X, 63X Oil], Camera.Binning: ["1", "2"], LED: [0, 1, 2]}
  allowed_sub_devices: {tracker: [XY.*, Z], watcher: []}
  forbidden_properties: [Camera.Pixel*, "*.Serial*"]
"""
READ = Safety(
    (-5000.0, 5000.0),
    (-4000.0, 4000.0),
    (-200.0, 200.0),
    (
        ExclusionZone("clamp", (900.0, 1000.0), (-50.0, 50.0)),
        ExclusionZone("exclusion_zones[1]", (-100.0, -90.0), (0.0, 5.0), (10.0, 200.0)),
    ),
    Distances(500.0, 20.0),
    {"63X Oil": Distances(None, 5.0)},
    Distances(60000.0),
    LightLimits(500.0, None, None, 20.0, 100.0, {"Blue laser": 5.0}),
    {
        "Laser405Power.Volts": (0.0, 5.0),
        "Objective": ("10X", "63X Oil"),
        "Camera.Binning": ("1", "2"),
        "LED": ("0", "1", "2"),
    },
    {"tracker": ("XY.*", "Z"), "watcher": ()},
    ("Camera.Pixel*", "*.Serial*"),
)


def test_everything_is_read_and_written_back() -> None:
    experiment = parse_experiment(HEAD + EVERYTHING, Path())
    assert experiment.safety == READ
    assert parse_experiment(dump_experiment(experiment), Path()).safety == READ
    assert parse_experiment(HEAD, Path()).safety == Safety()


# text of the section, field, words, "did you mean"
MISTAKES: dict[str, tuple[str, str, str, str | None]] = {
    "key": ("{focus: [0, 1]}", "focus", "unknown key", "focus_um"),
    "zone key": ("{exclusion_zones: [{x_um: [0, 1], y_m: [0, 1]}]}", "exclusion_zones[0].y_m", "unknown key", "y_um"),
    "zone without y": ("{exclusion_zones: [{x_um: [0, 1]}]}", "exclusion_zones[0].y_um", "'y_um' is missing", None),
    "zone is a word": ("{exclusion_zones: [clamp]}", "exclusion_zones[0]", "must be a mapping", None),
    "zones no list": ("{exclusion_zones: {x_um: [0, 1]}}", "exclusion_zones", "must be a list", None),
    "zone turned": (
        "{exclusion_zones: [{x_um: [1, 0], y_um: [0, 1]}]}",
        "exclusion_zones[0].x_um",
        "not a range",
        None,
    ),
    "step": ("{largest_step: {stage: 5}}", "largest_step.stage", "unknown key", "stage_um"),
    "step of text": ("{largest_step: {stage_um: far}}", "largest_step.stage_um", "not a possible limit", None),
    "step below 0": ("{largest_step: {stage_um: -1}}", "largest_step.stage_um", "not a possible limit", None),
    "objective's step": (
        "{largest_step: {per_objective: {10X: {focus: 5}}}}",
        "largest_step.per_objective.10X.focus",
        "unknown key",
        "focus_um",
    ),
    "travel": ("{travel_per_min: {stage_mm: 5}}", "travel_per_min.stage_mm", "unknown key", "stage_um"),
    "travel is a number": ("{travel_per_min: 5}", "travel_per_min", "must be a mapping", None),
    "light": ("{light: {ms_per_postion: 5}}", "light.ms_per_postion", "unknown key", "ms_per_position"),
    "power": ("{light: {largest_power: {Laser: high}}}", "light.largest_power.Laser", "not a possible limit", None),
    "sub-device": ("{sub_devices: {Laser: 5}}", "sub_devices.Laser", "neither a range nor a list", None),
    "sub-device, empty": ("{sub_devices: {Laser: []}}", "sub_devices.Laser", "neither a range nor a list", None),
    "sub-device, turned": ("{sub_devices: {Laser: [5, 0]}}", "sub_devices.Laser", "not a range", None),
    "allowed": ("{allowed_sub_devices: {tracker: XY.X}}", "allowed_sub_devices.tracker", "must be a list", None),
    "allowed number": ("{allowed_sub_devices: {t: [5]}}", "allowed_sub_devices.t[0]", "must be the name", None),
    "forbidden": ("{forbidden_properties: [{}]}", "forbidden_properties[0]", "must be the name", None),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_with_their_place(name: str, tmp_path: Path) -> None:
    text, field, words, meant = MISTAKES[name]
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(f"{HEAD}safety: {text}\n", Path())
    (finding,) = caught.value.findings
    assert (finding.line, finding.field, finding.suggestion) == (3, f"safety.{field}", meant)
    assert words in finding.message
    # A site file has the same section, and the same errors.
    file = tmp_path / "site.yaml"
    file.write_text(f"# of the lab\nsafety: {text}\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        read_site_file(file)
    (finding,) = caught.value.findings
    assert (finding.line, finding.field) == (2, f"safety.{field}")
    assert finding.file is not None and finding.file.endswith("site.yaml")


# -- site and user files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's and the user's file are looked for: ``site.yaml``, ``user.yaml``."""
    monkeypatch.delenv(SITE_VARIABLE, raising=False)
    monkeypatch.setattr(site_file, "site_paths", lambda: (tmp_path / "site.yaml",))
    monkeypatch.setattr(site_file, "user_path", lambda: tmp_path / "user.yaml")
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one place")
def test_a_desktop_s_own_folders_do_not_hide_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/etc/xdg/xdg-desktop:/opt/share")
    places = [str(path) for path in site_paths()]
    assert places == [
        f"{folder}/inscoper-mm/site.yaml" for folder in ("/etc/xdg/xdg-desktop", "/opt/share", "/etc/xdg")
    ]


def test_files_that_are_not_there_say_nothing(folder: Path) -> None:
    assert read_site_files() == ()


def test_the_machine_s_file_then_the_named_one_then_the_user_s(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "site.yaml").write_text(
        "safety: {focus_um: [0, 1]}\naliases: {Stage X: XY.X}\n", encoding="utf-8"
    )
    (folder / "user.yaml").write_text("safety: {focus_um: [0, 3]}\n", encoding="utf-8")
    (folder / "own.yaml").write_text("safety: {focus_um: [0, 2]}\n", encoding="utf-8")
    monkeypatch.setenv(SITE_VARIABLE, str(folder / "own.yaml"))
    files = read_site_files()
    assert [file.path.name for file in files] == ["site.yaml", "own.yaml", "user.yaml"]
    assert [file.safety.focus_um for file in files] == [(0, 1), (0, 2), (0, 3)]
    assert files[0].aliases == {"Stage X": "XY.X"}
    monkeypatch.setenv(SITE_VARIABLE, str(folder / "site.yaml"))
    assert [file.path.name for file in read_site_files()] == ["site.yaml", "user.yaml"]


def test_an_empty_file_has_no_limits(folder: Path) -> None:
    (folder / "site.yaml").write_text("# nothing yet\n", encoding="utf-8")
    (file,) = read_site_files()
    assert file.safety == Safety()


WRONG: dict[str, tuple[bytes, str]] = {
    "other sections": (b"microscope: {backend: demo}\n", "unknown key 'microscope'"),
    "near miss": (b"saftey: {focus_um: [0, 1]}\n", "unknown key 'saftey'"),
    "a list": (b"- 1\n", "must be a mapping"),
    "not yaml": (b"safety: [1\n", "not valid YAML"),
    "not text": (b"safety: \xff\n", "not UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_an_error_and_not_left_out(folder: Path, name: str) -> None:
    content, words = WRONG[name]
    (folder / "site.yaml").write_bytes(content)
    (folder / "user.yaml").write_bytes(content)
    with pytest.raises(InvalidInput, match=words) as caught:
        read_site_files()
    assert {Path(str(each.file)).name for each in caught.value.findings} == {"site.yaml", "user.yaml"}


def test_a_named_file_has_to_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SITE_VARIABLE, str(folder / "lab.yaml"))
    with pytest.raises(InvalidInput, match=r"lab\.yaml: the file cannot be read"):
        read_site_files()


def test_a_folder_in_the_place_of_the_file_is_an_error(folder: Path) -> None:
    (folder / "site.yaml").mkdir()
    with pytest.raises(InvalidInput, match=r"site\.yaml"):
        read_site_files()
