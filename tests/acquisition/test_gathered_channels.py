"""All channels of a place in one call, whatever the order of the axes, and what is told where that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from inscoper_mm.library import library_dir
from inscoper_mm.records import Decided, ScriptFailed

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

GATHER = f"""
import sys

sys.path.insert(0, {str(library_dir("scripts"))!r})
from _image_provider_functions import fetch_channels as fetch_images

def process(images: "images", context: "IIS_CONTEXT"):
    keys = ("timeIndex", "positionIndex", "focusIndex")
    places = [[image.metadata[key] for key in keys] for image in images]
    channels = [image.metadata["channelName"] for image in images]
    if any(place != places[0] for place in places):
        raise ValueError("not one place")
    return {{"metadata": {{"PLACE": places[0], "CHANNELS": channels}}}}
"""
PLAN = """\
acquisition:
  axis_order: {order}
  channels:
    - {{config: DAPI, exposure: 1}}
    - {{config: FITC, exposure: 1{fitc}}}
    - {{config: Rhodamine, exposure: 1{more}}}
  stage_positions: [{{x: 0, y: 0, name: A}}, {{x: 10, y: 0, name: B}}]
  z_plan: {{range: 2, step: 1}}
  time_plan: {{interval: 0, loops: 2}}
"""


@pytest.mark.parametrize("order", ["tpcz", "tpzc", "tczp", "ctpz", "zcpt"])
def test_each_place_is_one_call_with_its_channels(lab: Lab, order: str) -> None:
    ran = lab(
        GATHER,
        acquisition=PLAN.format(order=order, fitc="", more=""),
        entry=", provider_parameters: {channel_index: 1}",
    )
    assert ran.result.exit_status == 0
    answers = [tags for tags in ran.stored().values() if "PLACE" in tags]
    assert len(answers) == ran.counts["processed"] == 2 * 2 * 3
    assert len({tuple(tags["PLACE"]) for tags in answers}) == 12
    assert all(tags["CHANNELS"] == ["FITC", "DAPI", "Rhodamine"] for tags in answers)


def test_a_channel_that_is_not_always_taken_is_left_out_by_a_parameter(lab: Lab) -> None:
    plan = PLAN.format(order="tpcz", fitc="", more=", acquire_every: 2")
    ran = lab(GATHER, acquisition=plan, entry=", provider_parameters: {last_channel_index: 1}")
    assert ran.result.exit_status == 0
    assert ran.counts["processed"] == 12
    # With it, there is a call only where it was taken.
    ran = lab(GATHER, acquisition=plan)
    assert ran.result.exit_status == 0
    assert ran.counts["processed"] == 6


def test_a_channel_in_between_that_was_not_taken_is_an_error_that_says_so(lab: Lab) -> None:
    ran = lab(GATHER, acquisition=PLAN.format(order="tpcz", fitc=", acquire_every: 2", more=""))
    assert ran.result.exit_status == 3
    failed = ran.of(ScriptFailed)
    assert len(failed) == 6
    assert "'timeIndex': 1" in failed[0].message
    assert "'channelIndex': 1" in failed[0].message
    assert sum(record.fate == "done" for record in ran.of(Decided)) == 6


def test_a_channel_without_a_stack_does_not_go_with_one_that_has_it(lab: Lab) -> None:
    ran = lab(GATHER, acquisition=PLAN.format(order="tpcz", fitc=", do_stack: false", more=""))
    failed = ran.of(ScriptFailed)
    assert failed
    assert "focusIndex is outside its size" in failed[0].message
