"""Every mistake in an experiment file is named by line and field, with what is allowed and what was meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.load import load_experiment, parse_experiment

HEAD = "microscope: {backend: demo}\n"
ACQUISITION = "acquisition: {channels: [{config: DAPI, exposure: 10}]}\n"


@dataclass(frozen=True)
class Case:
    """``text``, and the only finding that it must give."""

    name: str
    text: str
    line: int | None
    field: str | None
    says: str
    meant: str | None = None


def acquisition(name: str, text: str, field: str, says: str, meant: str | None = None) -> Case:
    """A mistake in line 3, the only line of the section ``acquisition``."""
    return Case(name, f"{HEAD}acquisition:\n  {text}\n", 3, f"acquisition.{field}", says, meant)


def script(name: str, text: str, field: str, says: str, meant: str | None = None) -> Case:
    """A mistake in line 4, the only line of the only script."""
    whole = f"{HEAD}{ACQUISITION}scripts:\n  - {{file: autofocus, {text}}}\n"
    return Case(name, whole, 4, f"scripts[0].{field}", says, meant)


def top(name: str, text: str, field: str, says: str, meant: str | None = None) -> Case:
    """A mistake in line 3, a section of its own."""
    before = f"{HEAD}{ACQUISITION}" if field != "acquisition" else f"{HEAD}\n"
    return Case(name, f"{before}{text}\n", 3, field, says, meant)


GRID = "rows: 2, columns: 2, fov_width: 100, fov_height: 100"
CASES = [
    # The file as YAML.
    Case("empty", "", None, None, "the file is empty"),
    Case("no mapping", "- 1\n", 1, None, "must be a mapping"),
    Case("not yaml", "a: [1\nb: 2\n", 2, None, "not valid YAML"),
    Case("tab", f"{HEAD}acquisition:\n\tx: 1\n", 3, None, "not valid YAML"),
    Case("two documents", f"{HEAD}{ACQUISITION}---\n{HEAD}", 4, None, "more than one YAML document"),
    Case("key twice", f"{HEAD}{ACQUISITION}name: a\nname: b\n", 4, "name", "given twice"),
    Case(
        "deep key twice",
        f"{HEAD}acquisition:\n  z_plan: {{step: 1,\n    step: 2}}\n",
        4,
        "acquisition.z_plan.step",
        "twice",
    ),
    Case("tag", f"{HEAD}{ACQUISITION}name: !!python/name:os.system x\n", 3, "name", "tag"),
    Case(
        "value in itself",
        f"{HEAD}{ACQUISITION}metadata: &m\n  again: *m\n",
        3,
        "metadata.again",
        "contains itself",
    ),
    Case("deep", f"{HEAD}metadata: {'[' * 100_000}\n", 2, None, "nested too deeply"),
    Case("nan", f"{HEAD}{ACQUISITION}metadata: {{gain: .nan}}\n", 3, "metadata.gain", "not a finite number"),
    # Sections.
    Case("no microscope", ACQUISITION, 1, "microscope", "'microscope' is missing"),
    Case("no acquisition", HEAD, 1, "acquisition", "'acquisition' is missing"),
    top("unknown section", "safty: {focus_um: [0, 1]}", "safty", "unknown key", "safety"),
    top("section is a word", "safety: high", "safety", "must be a mapping"),
    top("name for a folder", 'name: "a:b"', "name", "folder's name"),
    top("name is a number", "name: 5", "name", "must be text"),
    top("name of a Windows device", "name: con", "name", "not allowed"),
    top("aliases", "aliases: [XY.X]", "aliases", "must be a mapping"),
    top("alias of a number", "aliases: {Stage X: 3}", "aliases.Stage X", "must be the id"),
    top("late", "late: catch_up", "late", "not available yet"),
    top("late unknown", "late: shft", "late", "none of the possible", "shift"),
    top("range turned", "safety: {focus_um: [10, -10]}", "safety.focus_um", "not a range"),
    top("range of one", "safety: {stage: {x_um: [10]}}", "safety.stage.x_um", "not a range"),
    top("stage axis", "safety: {stage: {x: [0, 1]}}", "safety.stage.x", "unknown key"),
    top("then", "device_error: {then: pause}", "device_error.then", "not available yet"),
    top("retries", "device_error: {retries: -1}", "device_error.retries", "not a possible value"),
    top("retries is true", "device_error: {retries: true}", "device_error.retries", "not a possible value"),
    top("output key", "output: {dir: runs}", "output.dir", "unknown key"),
    top("file size", "output: {file_bytes: 10}", "output.file_bytes", "not a possible value"),
    # The microscope.
    Case(
        "java", f"{ACQUISITION}microscope: {{backend: java}}\n", 2, "microscope.backend", "not available yet"
    ),
    Case(
        "backend",
        f"{ACQUISITION}microscope: {{backend: pyhton}}\n",
        2,
        "microscope.backend",
        "none of",
        "python",
    ),
    Case(
        "demo with mm_dir",
        f"{ACQUISITION}microscope: {{mm_dir: /mm}}\n",
        2,
        "microscope.mm_dir",
        "demo devices",
    ),
    Case(
        "no mm_dir",
        f"{ACQUISITION}microscope: {{backend: python, config: a.cfg}}\n",
        2,
        "microscope.mm_dir",
        "is missing",
    ),
    Case(
        "no config",
        f"{ACQUISITION}microscope: {{backend: python, mm_dir: /mm}}\n",
        2,
        "microscope.config",
        "is missing",
    ),
    # Scripts.
    Case(
        "no file",
        f"{HEAD}{ACQUISITION}scripts:\n  - {{name: x}}\n",
        4,
        "scripts[0].file",
        "'file' is missing",
    ),
    Case("no list", f"{HEAD}{ACQUISITION}scripts: autofocus\n", 3, "scripts", "must be a list"),
    Case(
        "script and scripts",
        f"{HEAD}{ACQUISITION}script: {{file: a}}\nscripts: [{{file: b}}]\n",
        3,
        "script",
        "not both",
    ),
    Case(
        "same name",
        f"{HEAD}{ACQUISITION}scripts:\n  - {{file: a}}\n  - {{file: a}}\n",
        5,
        "scripts[1]",
        "two scripts are called 'a'",
    ),
    script("script key", "procces: f", "procces", "unknown key", "process"),
    script("script name", "name: a/b", "name", "folder's name"),
    script("async word", "async: maybe", "async", "must be true or false"),
    script("parameters", "parameters: [1]", "parameters", "must be a mapping"),
    script("slow latest", "policy: {slow: latest}", "policy.slow", "not available yet"),
    script("slow queue", "policy: {slow: queue}", "policy.slow", "none of the possible", "{queue: n}"),
    script("queue 0", "policy: {slow: {queue: 0}}", "policy.slow.queue", "not a possible value"),
    script("queue key", "policy: {slow: {que: 3}}", "policy.slow.que", "unknown key", "queue"),
    script("dask", "policy: {place: dask}", "policy.place", "not available yet"),
    script("limit", "policy: {limit_s: 0}", "policy.limit_s", "not a possible value"),
    script("limit with unit", "policy: {limit_s: 5 s}", "policy.limit_s", "not a possible value"),
    script("error", "policy: {error: abbort}", "policy.error", "none of the possible", "abort"),
    # The acquisition: keys at every depth.
    acquisition("section", "chanels: [DAPI]", "chanels", "unknown key", "channels"),
    acquisition(
        "channel", "channels: [{config: DAPI, exposur: 3}]", "channels[0].exposur", "unknown key", "exposure"
    ),
    acquisition("no config", "channels: [{exposure: 3}]", "channels[0].config", "'config' is missing"),
    acquisition(
        "second channel",
        "channels: [DAPI, {config: A, do_stak: 1}]",
        "channels[1].do_stak",
        "unknown",
        "do_stack",
    ),
    acquisition(
        "position", "stage_positions: [{x: 0, y: 0, nam: A}]", "stage_positions[0].nam", "unknown key", "name"
    ),
    acquisition("z plan", "z_plan: {range: 4, stp: 1}", "z_plan.stp", "unknown key", "step"),
    acquisition("z plan mixed", "z_plan: {range: 4, step: 1, top: 3}", "z_plan.top", "does not go with"),
    acquisition("time plan", "time_plan: {interval: 1, lops: 3}", "time_plan.lops", "unknown key", "loops"),
    acquisition(
        "time plan over",
        "time_plan: {interval: 1, loops: 3, duration: 9}",
        "time_plan.duration",
        "does not go",
    ),
    acquisition(
        "phase",
        "time_plan: [{interval: 1, loops: 3}, {interval: 1, loop: 3}]",
        "time_plan[1].loop",
        "unknown",
        "loops",
    ),
    acquisition(
        "phases",
        "time_plan: {phases: [{interval: 1, loop: 3}]}",
        "time_plan.phases[0].loop",
        "unknown",
        "loops",
    ),
    acquisition("grid", f"grid_plan: {{{GRID}, overlp: 3}}", "grid_plan.overlp", "unknown key", "overlap"),
    acquisition(
        "plate",
        "stage_positions: {plate: {rows: 2, columns: 2, well_spacing: 9, well_size: 6, lid: 1}, a1_center_xy: [0, 0]}",
        "stage_positions.plate.lid",
        "unknown key",
    ),
    # The acquisition: values.
    acquisition(
        "exposure text", 'channels: [{config: A, exposure: "20"}]', "channels[0].exposure", "not a number"
    ),
    acquisition(
        "exposure true", "channels: [{config: A, exposure: true}]", "channels[0].exposure", "not a number"
    ),
    acquisition(
        "exposure 0", "channels: [{config: A, exposure: 0}]", "channels[0].exposure", "not a possible value"
    ),
    acquisition("config number", "channels: [{config: 488}]", "channels[0].config", "must be text"),
    acquisition("do_stack", "channels: [{config: A, do_stack: 2}]", "channels[0].do_stack", "true or false"),
    acquisition(
        "every half",
        "channels: [{config: A, acquire_every: 1.5}]",
        "channels[0].acquire_every",
        "not a possible",
    ),
    acquisition("channels word", "channels: DAPI", "channels", "must be a list"),
    acquisition("position text", "stage_positions: [{x: a}]", "stage_positions[0].x", "not a number"),
    acquisition("position of one", "stage_positions: [[1]]", "stage_positions[0]", "is no position"),
    acquisition("step 0", "z_plan: {range: 4, step: 0}", "z_plan.step", "above 0"),
    acquisition("top below bottom", "z_plan: {top: 0, bottom: 4, step: 1}", "z_plan", "0 slices"),
    acquisition("no slices", "z_plan: {relative: []}", "z_plan", "0 slices"),
    acquisition("many slices", "z_plan: {range: 4, step: 0.0000001}", "z_plan", "slices"),
    acquisition("z word", "z_plan: {relative: [0, a]}", "z_plan.relative", "not a number"),
    acquisition(
        "interval below 0", "time_plan: {interval: -1, loops: 3}", "time_plan.interval", "not a time span"
    ),
    acquisition(
        "two-part clock", "time_plan: {interval: 1:30, loops: 3}", "time_plan.interval", "not a time span"
    ),
    acquisition(
        "interval unit", "time_plan: {interval: {min: 1}, loops: 3}", "time_plan.interval", "not a time span"
    ),
    acquisition("interval 0", "time_plan: {interval: 0, duration: 3}", "time_plan.interval", "above 0"),
    acquisition("one loop", "time_plan: {duration: 9, loops: 1}", "time_plan.loops", "at least 2"),
    acquisition("no loops", "time_plan: {interval: 1, loops: 0}", "time_plan.loops", "not a possible"),
    acquisition("no phases", "time_plan: []", "time_plan", "no phases"),
    top(
        "too many images",
        "acquisition: {time_plan: {interval: 1, loops: 100000000}}",
        "acquisition",
        "100,000,000 images",
    ),
    acquisition("axis twice", "axis_order: tpp", "axis_order", "no order of axes"),
    acquisition("axis unknown", "axis_order: tpx", "axis_order", "no order of axes"),
    acquisition(
        "axis left out", "{axis_order: tpc, z_plan: {range: 4, step: 1}}", "axis_order", "axis 'z' is not in"
    ),
    acquisition(
        "plate name",
        "stage_positions: {plate: 96-wel, a1_center_xy: [0, 0]}",
        "stage_positions.plate",
        "Unknown plate",
    ),
    acquisition(
        "no wells",
        "stage_positions: {plate: 96-well, a1_center_xy: [0, 0]}",
        "stage_positions.selected_wells",
        "no well",
    ),
    acquisition(
        "a well beyond the plate",
        "stage_positions: {plate: 96-well, a1_center_xy: [0, 0], selected_wells: [A1, I1]}",
        "stage_positions.selected_wells",
        "no such well",
    ),
    acquisition(
        "no name of a well",
        "stage_positions: {plate: 96-well, a1_center_xy: [0, 0], selected_wells: every}",
        "stage_positions.selected_wells",
        "no such well",
    ),
    acquisition(
        "names", "stage_positions: [{x: 0, name: A}, {x: 1, name: A}]", "stage_positions", "called 'A'"
    ),
    acquisition(
        "no view", "grid_plan: {rows: 2, columns: 2, fov_width: 100}", "grid_plan.fov_height", "is missing"
    ),
    acquisition("overlap", f"grid_plan: {{{GRID}, overlap: 100}}", "grid_plan.overlap", "no overlap"),
    acquisition(
        "grid mode", f"grid_plan: {{{GRID}, mode: row_wse}}", "grid_plan.mode", "none of", "row_wise"
    ),
    acquisition(
        "start of points",
        "grid_plan: {num_points: 3, random_seed: 1, start_at: 5}",
        "grid_plan",
        "start_at is greater",
    ),
    acquisition("no seed", "grid_plan: {num_points: 3}", "grid_plan", "'random_seed' is missing"),
    acquisition(
        "grid rows",
        "grid_plan: {rows: 0, columns: 2, fov_width: 9, fov_height: 9}",
        "grid_plan.rows",
        "not a possible",
    ),
    # The acquisition: what useq knows and no run does.
    acquisition(
        "autofocus at each slice",
        "autofocus_plan: {axes: [z]}",
        "autofocus_plan.axes",
        "cannot be looked for there",
    ),
    acquisition(
        "autofocus nowhere",
        "autofocus_plan: {autofocus_motor_offset: 3}",
        "autofocus_plan.axes",
        "cannot be looked",
    ),
    acquisition("setup", "setup: {x_pos: 3}", "setup", "not available yet"),
    acquisition("shutter", "keep_shutter_open_across: z", "keep_shutter_open_across", "not available yet"),
    acquisition("metadata", "metadata: {a: 1}", "metadata", "no metadata of its own"),
    acquisition("camera", "channels: [{config: A, camera: B}]", "channels[0].camera", "not available yet"),
    acquisition(
        "properties",
        "stage_positions: [{x: 0, properties: []}]",
        "stage_positions[0].properties",
        "not available yet",
    ),
    acquisition(
        "sub-sequence",
        "stage_positions: [{x: 0, sequence: {z_plan: {range: 4, step: 1}}}]",
        "stage_positions[0].sequence",
        "not available yet",
    ),
    acquisition(
        "prioritize",
        "time_plan: {interval: 1, loops: 3, prioritize_duration: true}",
        "time_plan.prioritize_duration",
        "not available yet",
    ),
    acquisition(
        "grid order",
        f"{{axis_order: tpcg, channels: [A], stage_positions: [[0, 0]], grid_plan: {{{GRID}}}}}",
        "axis_order",
        "'g' must follow 'p'",
    ),
    # The acquisition: parts that do not go together.
    acquisition(
        "z twice",
        "{stage_positions: [{z: 3}], z_plan: {top: 4, bottom: 0, step: 1}}",
        "stage_positions[0]",
        "leave z out",
    ),
    acquisition(
        "x twice",
        "{stage_positions: [{x: 3}], grid_plan: {top: 4, left: 0, bottom: 0, right: 4, fov_width: 2, fov_height: 2}}",
        "stage_positions[0]",
        "leave x and y out",
    ),
]


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(text, Path.cwd())
    return caught.value.findings


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_mistake_gives_one_finding_at_its_place(case: Case) -> None:
    (finding,) = findings_of(case.text)
    assert (finding.line, finding.field) == (case.line, case.field)
    assert case.says in finding.message
    assert finding.suggestion == case.meant


def test_all_mistakes_are_found_at_once_in_the_order_of_the_file() -> None:
    text = f"{HEAD}late: never\nacquisition:\n  z_plan: {{range: 4, stp: 1}}\n  chanels: []\nsafety: 1\n"
    assert [finding.line for finding in findings_of(text)] == [2, 4, 5, 6]


def test_a_finding_reads_as_a_sentence_with_place_and_cure() -> None:
    (finding,) = findings_of(f"{HEAD}acquisition:\n  channels: [{{config: 488}}]\n")
    assert str(finding) == (
        'experiment:3, acquisition.channels[0].config: must be text. Got: 488. Put it in quotes: "488".'
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"name: \xff\xfe", "not UTF-8"), (None, "cannot be read")],
    ids=["bytes", "missing"],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "experiment.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        load_experiment(path)
