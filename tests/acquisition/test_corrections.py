"""The rules for corrections, in numbers: dead band, gain, largest step, largest total, decay."""

from __future__ import annotations

import re

import pytest

from inscoper_mm.acquisition.corrections import Corrections, Offset
from inscoper_mm.errors import InvalidInput, LimitRefused
from inscoper_mm.experiment.corrections import CorrectionPolicy, CorrectionRule
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import load_experiment

PLAIN = CorrectionRule()


def corrections(stage: CorrectionRule = PLAIN, focus: CorrectionRule = PLAIN) -> Corrections:
    return Corrections(CorrectionPolicy(stage, focus), "lab.yaml")


def add(to: Corrections, asked: Offset, positions: list[int] | None, time: int = 0) -> Offset:
    decision = to.decide(asked)
    to.add(decision, positions, "tracker", "e000001", time)
    return decision.offset


DECIDED: dict[str, tuple[CorrectionRule, Offset, Offset, str]] = {
    "the defaults change nothing": (PLAIN, Offset(3, 4, -2), Offset(3, 4, -2), ""),
    "nothing asked": (CorrectionRule(dead_band_um=1), Offset(), Offset(), ""),
    "below the dead band": (CorrectionRule(dead_band_um=5.1), Offset(3, 4, 0), Offset(), "stage: 5 um is below"),
    # The length of the vector counts: each axis alone is below the dead band.
    "at the dead band": (CorrectionRule(dead_band_um=5), Offset(3, 4, 0), Offset(3, 4, 0), ""),
    "focus below, stage above": (CorrectionRule(dead_band_um=3), Offset(3, 4, -2), Offset(3, 4, 0), "focus: 2 um"),
    "gain": (CorrectionRule(gain=0.5), Offset(3, 4, -2), Offset(1.5, 2, -1), ""),
    "the dead band looks at what was asked": (
        CorrectionRule(dead_band_um=2, gain=0.5), Offset(0, 0, 2), Offset(0, 0, 1), ""
    ),
    "largest step": (
        CorrectionRule(largest_step_um=2.5), Offset(3, -4, 2), Offset(1.5, -2, 2), "5 um is shortened to .* 2.5 um"
    ),
    "the largest step looks at what the gain left": (
        CorrectionRule(gain=0.5, largest_step_um=2.5), Offset(3, 4, 0), Offset(1.5, 2, 0), ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_what_the_rules_make_of_a_correction(name: str) -> None:
    rule, asked, expected, note = DECIDED[name]
    decision = corrections(rule, rule).decide(asked)
    assert decision.asked == asked
    assert decision.offset.to_dict() == pytest.approx(expected.to_dict())
    assert bool(decision.notes) == bool(note)
    if note:
        assert re.search(note, "; ".join(decision.notes))


def test_ignored_corrections_do_not_add_up() -> None:
    rule = CorrectionRule(dead_band_um=1)
    total = corrections(rule, rule)
    for _ in range(10):
        add(total, Offset(0.5, 0.5, 0.9), [0])
    assert not total.total(0)
    assert total.take_waiting(0) == []  # no event is said to carry what was ignored


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (
            Offset(6, 8.1, 0),
            r"stage would be 10\.0.* um. Allowed: 10 um \(corrections\.stage\.\w+ in lab\.yaml\)",
        ),
        (
            Offset(0, 0, -3.5),
            r"focus would be 3\.5 um. Allowed: 3 um \(corrections\.focus\.largest_total_um in lab",
        ),
    ],
)
def test_a_total_that_is_too_long_is_refused_by_name(total: Offset, words: str) -> None:
    limited = corrections(CorrectionRule(largest_total_um=10), CorrectionRule(largest_total_um=3))
    limited.check_total("correctPosition", Offset(6, 8, -3))
    with pytest.raises(LimitRefused, match=words):
        limited.check_total("correctPosition", total)


def test_the_default_largest_total_is_told_as_such() -> None:
    with pytest.raises(LimitRefused, match=r"Allowed: 100 um \(the default of corrections\.focus"):
        Corrections().check_total("correctPosition", Offset(z_um=100.5))


# -- decay

FADING = CorrectionRule(decay=0.5)


def test_the_first_event_carries_a_correction_whole_and_then_it_fades() -> None:
    total = corrections(FADING, PLAIN)
    add(total, Offset(8, 0, 8), [0], time=3)
    assert [total.total(0, time).x_um for time in (3, 4, 5, 6, 7)] == [8, 8, 4, 2, 1]
    assert [total.total(0, time).z_um for time in (3, 4, 5)] == [8, 8, 8]


def test_a_correction_at_each_time_point_loses_nothing() -> None:
    total = corrections(FADING, FADING)
    for time in range(5):
        add(total, Offset(x_um=1), [0], time)
    assert total.total(0, 5).x_um == 5


def test_an_ignored_correction_confirms_the_total() -> None:
    rule = CorrectionRule(dead_band_um=1, decay=0.5)
    total = corrections(rule, rule)
    add(total, Offset(x_um=8), [0], time=0)
    add(total, Offset(x_um=0.1), [0], time=1)
    assert [total.total(0, time).x_um for time in (1, 2, 3)] == [8, 8, 4]


def test_confirming_the_stage_lets_the_focus_fade_on() -> None:
    total = corrections(FADING, FADING)
    add(total, Offset(8, 0, 8), [0], time=0)
    add(total, Offset(x_um=1), [0], time=2)
    assert [total.total(0, time).x_um for time in (2, 3, 4)] == [5, 5, 2.5]
    assert [total.total(0, time).z_um for time in (2, 3, 4)] == [4, 2, 1]


def test_what_holds_everywhere_fades_too_and_on_its_own() -> None:
    total = corrections(FADING, FADING)
    add(total, Offset(x_um=8), None, time=0)
    add(total, Offset(x_um=1), [0], time=2)
    assert [total.total(0, time).x_um for time in (1, 2, 3)] == [9, 5, 3]
    assert [total.total(7, time).x_um for time in (1, 2, 3)] == [8, 4, 2]


def test_positions_visited_one_after_the_other_count_their_own_time() -> None:
    """Axis order p, t: when the second position begins at time 0, nothing grows and nothing is taken for older."""
    total = corrections(FADING, FADING)
    add(total, Offset(x_um=8), None, time=4)
    add(total, Offset(x_um=2), None, time=0)
    assert [total.total(1, time).x_um for time in (0, 4, 5, 6)] == [10, 10, 10, 5]


# -- the experiment file

HEAD = "microscope: {backend: demo}\nacquisition: {time_plan: {interval: 1, loops: 2}}\n"


def test_the_section_is_read_written_and_read_again(tmp_path) -> None:
    file = tmp_path / "lab.yaml"
    stage = "{dead_band_um: 0.5, gain: 0.7, largest_step_um: 20, largest_total_um: none, decay: 0.1}"
    file.write_text(f"{HEAD}corrections: {{stage: {stage}}}\n", encoding="utf-8")
    read = load_experiment(file)
    assert read.corrections.stage == CorrectionRule(0.5, 0.7, 20.0, None, 0.1)
    assert read.corrections.focus == CorrectionRule(largest_total_um=100.0)
    file.write_text(dump_experiment(read), encoding="utf-8")
    assert load_experiment(file).corrections == read.corrections


WRONG = {
    "a gain that swings": ("stage: {gain: 2}", "corrections.stage.gain", "above 0 and below 2"),
    "no gain": ("focus: {gain: 0}", "corrections.focus.gain", "above 0"),
    "all is lost": ("stage: {decay: 1}", "corrections.stage.decay", "below 1"),
    "negative": ("stage: {dead_band_um: -1}", "corrections.stage.dead_band_um", "at least 0"),
    "no length": ("focus: {largest_step_um: 0}", "corrections.focus.largest_step_um", "above 0, or none"),
    "text": ("focus: {largest_total_um: much}", "corrections.focus.largest_total_um", "none"),
    "misspelt": ("focus: {deadband_um: 1}", "corrections.focus.deadband_um", "dead_band_um"),
    "no room": (
        "stage: {dead_band_um: 3, largest_step_um: 2}",
        "corrections.stage.dead_band_um",
        "largest_step_um",
    ),
    "unknown kind": ("z: {gain: 1}", "corrections.z", "focus"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_are_told_with_their_place(name: str, tmp_path) -> None:
    text, field, words = WRONG[name]
    file = tmp_path / "lab.yaml"
    file.write_text(f"{HEAD}corrections: {{{text}}}\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as raised:
        load_experiment(file)
    (finding,) = raised.value.findings
    assert finding.field == field
    assert finding.line == 3
    assert words in str(finding)
