"""What a right experiment file means, and that writing it out and reading it again changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.document import parse_document
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import load_experiment, parse_experiment
from inscoper_mm.experiment.model import (
    DeviceErrorPolicy,
    Experiment,
    MicroscopeConfig,
    Policy,
    Safety,
    ScriptConfig,
)

HEAD = "microscope: {backend: demo}\n"
FULL = """
name: screening
metadata: {sample: "HeLa H2B-GFP", day: 2026-02-03, ratio: 1:30, code: "1e3", agreed: no, empty: }
microscope: {backend: demo, config: galvo, specimen: {seed: 1}}
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 20}, {config: "488", do_stack: no, z_offset: -1.5}]
  stage_positions: [{x: 0, y: 0, name: A}, [400, 0], [1, 2, 3]]
  z_plan: {range: 4, step: 1}
  time_plan: [{interval: {minutes: 1}, loops: 3}, {interval: "0:00:30", duration: 90}]
scripts:
  - file: single_cell_screening_no_ai
    provider: fetch_images
    process: detect_single_cells
    provider_parameters: {channel_index: 0}
    parameters: {min_area_um2: 40, folder: "~"}
    policy: {slow: {queue: 2}, error: abort, limit_s: 5, place: thread}
  - {file: autofocus, async: true, name: focus}
safety: {stage: {x_um: [-5000, 5000]}, focus_um: [-200, 200]}
device_error: {retries: 2, wait_s: 0.5, then: skip_event}
late: shift
output: {directory: data/runs, cache_bytes: 1000000}
"""


def parse(text: str, **overrides: str) -> Experiment:
    return parse_experiment(text, Path.cwd(), overrides)


def acquire(text: str) -> Experiment:
    return parse(f"{HEAD}acquisition:\n  {text}\n")


def test_every_section() -> None:
    experiment = parse(FULL)
    assert experiment.name == "screening"
    assert experiment.metadata == {
        "sample": "HeLa H2B-GFP",
        "day": "2026-02-03",
        "ratio": "1:30",
        "code": "1e3",
        "agreed": "no",
        "empty": None,
    }
    assert experiment.microscope == MicroscopeConfig("demo", "galvo", None, {"seed": 1})
    assert experiment.scripts == (
        ScriptConfig(
            "single_cell_screening_no_ai",
            "single_cell_screening_no_ai",
            "fetch_images",
            "detect_single_cells",
            False,
            {"channel_index": 0},
            {"min_area_um2": 40, "folder": "~"},
            Policy("queue", 2, "abort", 5.0, "thread"),
        ),
        ScriptConfig("autofocus", "focus", is_async=True),
    )
    assert experiment.safety == Safety((-5000.0, 5000.0), None, (-200.0, 200.0))
    assert experiment.device_error == DeviceErrorPolicy(2, 0.5, "skip_event")
    assert (experiment.output.directory, experiment.output.cache_bytes) == ("data/runs", 1_000_000)


def test_the_acquisition_is_a_useq_sequence() -> None:
    acquisition = parse(FULL).acquisition
    dapi, second = acquisition.channels
    assert (dapi.config, dapi.group, dapi.exposure) == ("DAPI", "Channel", 20.0)
    assert (second.config, second.do_stack, second.z_offset) == ("488", False, -1.5)
    assert [(place.x, place.y, place.z, place.name) for place in acquisition.stage_positions] == [
        (0, 0, None, "A"),
        (400, 0, None, None),
        (1, 2, 3, None),
    ]
    assert list(acquisition.z_plan or ()) == [-2, -1, 0, 1, 2]
    assert list(acquisition.time_plan or ()) == [0, 60, 120, 150, 180, 210]


def test_defaults_are_those_that_are_documented() -> None:
    experiment = parse(f"{HEAD}acquisition: {{channels: [DAPI]}}\nscript: {{file: autofocus}}\n")
    assert experiment.name == "experiment"
    assert experiment.microscope == MicroscopeConfig("demo", "galvo", None, None)
    policy = experiment.scripts[0].policy
    assert policy.for_script(asynchronous=False) == Policy("wait", 4, "skip", 60.0, "worker")
    assert policy.for_script(asynchronous=True) == Policy("queue", 4, "skip", 60.0, "worker")
    assert experiment.device_error == DeviceErrorPolicy(3, 1.0, "abort")
    assert experiment.safety == Safety(None, None, None)
    assert (experiment.late, experiment.output.directory) == ("shift", "runs")


def test_paths_are_relative_to_the_file_and_names_stay_names(tmp_path: Path) -> None:
    file = tmp_path / "own experiment.yaml"
    (tmp_path / "scope.cfg").write_text("")
    file.write_text(
        "microscope: {backend: python, config: scope.cfg, mm_dir: mm}\nacquisition: {channels: [DAPI]}\n"
        "scripts: [autofocus, {file: own.py}, {file: sub/other.py, name: third}]\n"
    )
    experiment = load_experiment(file)
    assert (experiment.name, experiment.source) == ("own experiment", file.resolve())
    assert experiment.microscope.config == str(tmp_path / "scope.cfg")
    assert experiment.microscope.mm_dir == tmp_path / "mm"
    assert [(script.file, script.name) for script in experiment.scripts] == [
        ("autofocus", "autofocus"),
        (str(tmp_path / "own.py"), "own"),
        (str(tmp_path / "sub" / "other.py"), "third"),
    ]


GRID = "rows: 2, columns: 3, fov_width: 100, fov_height: 80"
ONE = "fov_width: 1, fov_height: 1"
ROUND_TRIPS = {
    "full": FULL,
    "plain": f"{HEAD}acquisition: {{}}\n",
    "empty specimen": "microscope: {backend: demo, specimen: {}}\nacquisition: {}\n",
    "python": "microscope: {backend: python, config: /a/b.cfg, mm_dir: /mm}\nacquisition: {}\n",
    "grid": f"{HEAD}acquisition: {{grid_plan: {{{GRID}, overlap: [5, 10], mode: spiral, relative_to: top_left}}}}\n",
    "grid per position": f"{HEAD}acquisition: {{stage_positions: [{{x: 1, sequence: {{grid_plan: {{{GRID}}}}}}}]}}\n",
    "edges": f"{HEAD}acquisition: {{grid_plan: {{top: 1, left: 0, bottom: 0, right: 3, {ONE}}}}}\n",
    "size": f"{HEAD}acquisition: {{grid_plan: {{width: 9, height: 9, fov_width: 5, fov_height: 5}}}}\n",
    "polygon": f"{HEAD}acquisition: {{grid_plan: {{vertices: [[0, 0], [9, 0], [0, 9]], {ONE}}}}}\n",
    "random": f"{HEAD}acquisition: {{grid_plan: {{num_points: 5, random_seed: 3, max_width: 90, max_height: 80}}}}\n",
    "plate": f"{HEAD}acquisition: {{stage_positions: {{plate: 96-well, a1_center_xy: [0, 0], rotation: 2.5, "
    "selected_wells: [[0, 1], [2, 3]], well_points_plan: {num_points: 2, random_seed: 1}}}\n",
    "plate grid": f"{HEAD}acquisition: {{stage_positions: {{plate: 6-well, a1_center_xy: [5, 6], "
    f"selected_wells: [[0], [1]], well_points_plan: {{{GRID}}}}}}}\n",
    "plate point": f"{HEAD}acquisition: {{stage_positions: {{plate: 6-well, a1_center_xy: [5, 6], "
    "selected_wells: [[0], [1]], well_points_plan: {x: 3, y: 4}}}\n",
    "z downwards": f"{HEAD}acquisition: {{z_plan: {{top: 4, bottom: 0, step: 0.5, go_up: false}}}}\n",
    "z above below": f"{HEAD}acquisition: {{z_plan: {{above: 4, below: 1, step: 0.5}}}}\n",
    "z absolute": f"{HEAD}acquisition: {{z_plan: {{absolute: [1, 5, 2.5]}}}}\n",
    "z relative": f"{HEAD}acquisition: {{z_plan: {{relative: [1, 5, -2.5]}}}}\n",
    "times": f"{HEAD}acquisition: {{time_plan: {{duration: {{hours: 1.5}}, loops: 7}}}}\n",
    "words": f'{HEAD}acquisition: {{}}\nmetadata: {{a: "null", b: "0x1F", c: "~", d: "12", e: " x", f: "on", '
    'g: "-1.5e-3", h: "# no", i: "ü: µm", j: "a\\nb", k: [1, 2.5, true, null, {l: .5}], m: "", n: ".nan", o: 1e22}\n',
}


@pytest.mark.parametrize("text", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_written_out_and_read_again_it_is_equal(text: str, tmp_path: Path) -> None:
    first = parse(text)
    dumped = dump_experiment(first)
    again = parse_experiment(dumped, tmp_path)
    assert again == first
    assert dump_experiment(again) == dumped
    # Other YAML readers understand it as well, and it is JSON at heart.
    json.dumps(yaml.safe_load(dumped), allow_nan=False)


def test_values_of_numpy_are_written_as_numbers() -> None:
    experiment = parse(f"{HEAD}acquisition: {{}}\n")
    metadata: dict[str, Any] = {"gain": np.float32(0.5), "count": np.int64(3), "file": Path("a") / "b"}
    experiment = Experiment("x", experiment.acquisition, metadata=metadata)
    assert parse(dump_experiment(experiment)).metadata == {"gain": 0.5, "count": 3, "file": str(Path("a/b"))}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2),
        ("0.25", 0.25),
        ('"1:30:05"', 5405),
        ("0:00:02.5", 2.5),
        ("{hours: 1, seconds: 5}", 3605),
        ("1e3", 1000),
    ],
)
def test_time_spans(text: str, seconds: float) -> None:
    plan: Any = acquire(f"time_plan: {{interval: {text}, loops: 2}}").acquisition.time_plan
    assert plan.interval == timedelta(seconds=seconds)


SCALARS = {
    "yes": "yes",
    "off": "off",
    "true": True,
    "~": None,
    "1:30": "1:30",
    "2026-02-03": "2026-02-03",
    "017": 17,
    "0x1F": 31,
    "0o17": 15,
    "1e3": 1000.0,
    "1_000": "1_000",
    "+3": 3,
    ".5": 0.5,
    "'3'": "3",
    "No": "No",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS.keys())
def test_plain_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = parse_document(f"a: {text}", "file", Path()).value["a"]
    assert (read, type(read)) == (value, type(value))


def test_merged_mappings_and_aliases_are_values_of_their_own() -> None:
    text = f"{HEAD}acquisition: {{}}\nmetadata: {{a: &a {{x: 1, y: [2]}}, b: {{<<: *a, y: 3}}, c: *a}}\n"
    experiment = parse(text, **{"metadata.a.x": "9"})
    assert experiment.metadata == {
        "a": {"x": 9, "y": [2]},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": [2]},
    }


def test_values_from_the_command_line_replace_those_of_the_file() -> None:
    overrides = {
        "acquisition.channels[0].exposure": "50",
        "acquisition.time_plan": "{interval: 1, loops: 2}",
        "scripts[0].policy.slow": "{queue: 1}",
        "scripts.1.policy.error": "abort",
        "output.directory": "elsewhere",
        "device_error": "",
    }
    experiment = parse(FULL, **overrides)
    assert experiment.acquisition.channels[0].exposure == 50
    assert list(experiment.acquisition.time_plan or ()) == [0, 1]
    assert experiment.scripts[0].policy.queue == 1
    assert experiment.scripts[1].policy.error == "abort"
    assert experiment.output.directory == "elsewhere"
    assert experiment.device_error == DeviceErrorPolicy()


BAD_OVERRIDES = {
    "no path": ("a..b", "1", "not a key path"),
    "item": ("scripts[5].file", "x", "has no item 5; its items are 0 to 1"),
    "through a value": ("name.first", "x", "name is a single value"),
    "yaml": ("name", "[1", "not valid YAML"),
    "unknown key": ("acquisition.z_plan.stp", "2", "unknown key 'stp'"),
    "value": ("late", "never", "none of the possible values"),
}


@pytest.mark.parametrize(("key", "text", "says"), BAD_OVERRIDES.values(), ids=BAD_OVERRIDES.keys())
def test_a_wrong_value_from_the_command_line_names_its_key(key: str, text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(FULL, **{key: text})
    (finding,) = caught.value.findings
    assert finding.file == f"--set {key}"
    assert says in finding.message
