"""The reference page of IIS_CONTEXT: every method has a section, and every example runs on the demo microscope."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from inscoper_mm.acquisition.replay import Replay
from inscoper_mm.acquisition.replay_compare import compare
from inscoper_mm.acquisition.replay_scripts import Choice, choose_scripts
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.records import Decided, ScriptFailed
from inscoper_mm.scripting.context import CONTEXT_ATTRIBUTES, CONTEXT_METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "iis_context.md"
PROVIDER = 'def fetch_images(new_image: "images"):\n    return [{}]\n\n\n'


@dataclass(frozen=True)
class Example:
    """A code block: the heading it stands under, its line, and the experiment's lines that it asks for."""

    heading: str
    line: int
    code: str
    experiment: str


def _examples():
    heading, experiment, found = "", "", []
    text = PAGE.read_text(encoding="utf-8")
    for part in re.finditer(r"^(#+ [^\n]*)$|^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if part[1]:
            heading, experiment = part[1], ""
        elif part[2] == "yaml":
            experiment = part[3]
        elif part[2] == "python" and '"IIS_CONTEXT"' in part[3]:
            found.append(Example(heading, text.count("\n", 0, part.start()) + 1, part[3], experiment))
            experiment = ""
    return found


EXAMPLES = _examples()


@pytest.mark.parametrize("name", [*CONTEXT_METHODS, *CONTEXT_ATTRIBUTES])
def test_every_method_has_a_section_with_an_example_that_uses_it(name):
    own = [example for example in EXAMPLES if re.search(rf"`{name}\b", example.heading)]
    assert own, f"no section '### `{name}(...)`' with an example in {PAGE.name}"
    assert any(re.search(rf"\.{name}\b", example.code) for example in own)


def _run(example, lab):
    given = yaml.safe_load(example.experiment) or {}
    chosen = {}
    if "microscope" in given:
        chosen["microscope"] = yaml.safe_dump(given.pop("microscope"), default_flow_style=True, width=10_000)
    if "acquisition" in given:
        chosen["acquisition"] = yaml.safe_dump({"acquisition": given.pop("acquisition")})
    return lab(PROVIDER + example.code, more=yaml.safe_dump(given) if given else "", **chosen)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line{example.line}")
def test_every_example_runs(example, lab):
    ran = _run(example, lab)
    assert not ran.of(ScriptFailed), ran.of(ScriptFailed)[0].details
    assert ran.result.error is None
    assert any(decided.fate == "done" for decided in ran.of(Decided))


# The clock goes on in a replay: what a script makes of the time of day is not the same again.
REPLAYED = [example for example in EXAMPLES if "elapsed_s" not in example.code]


@pytest.mark.slow
@pytest.mark.parametrize("example", REPLAYED, ids=lambda example: f"line{example.line}")
def test_every_example_decides_in_a_replay_as_in_its_run(example, lab, tmp_path):
    ran = _run(example, lab)
    chosen = choose_scripts(ran.folder, Choice())
    result = Replay(open_recording(ran.folder), chosen, tmp_path / "replays").run()
    assert result.error is None
    comparison = compare(ran.folder, result.folder, sorted(chosen.as_recorded), chosen.several)
    assert [str(difference) for difference in comparison.differences] == []
    assert comparison.compared["calls"] > 0
