"""Commands that come while the acquisition runs: with the turn no exposure is at a wrong place, without it many are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inscoper_mm.microscope.turn import Turn
from inscoper_mm.records import Captured, Commanded

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

ACQUISITION = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 10}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 40, y: 0, z: 0, name: B}]
  time_plan: {interval: 0, loops: 30}
"""
RESTLESS = """
def fetch_images(new_image: "images"):
    return [{}]

def wander(images: "images", context: "IIS_CONTEXT"):
    for number in range(9):
        context.moveStage(-100.0 - number, 50.0)
"""


def wrong_exposures(ran: Any) -> int:
    planned = {0: 0.0, 1: 40.0}
    return sum(
        abs(record.real_um["x"] - planned[record.index["position"]]) > 0.1 for record in ran.of(Captured)
    )


def test_500_commands_beside_the_acquisition_spoil_no_exposure(lab: Lab) -> None:
    ran = lab(RESTLESS, policy="{place: thread, slow: {queue: 8}}", acquisition=ACQUISITION)
    assert ran.result.exit_status == 0
    commands = ran.of(Commanded)
    assert len(commands) == 540
    assert {record.decided for record in commands} == {"executed"}
    assert wrong_exposures(ran) == 0
    # They were not simply kept until the end: many came between the images.
    last_image_s = ran.of(Captured)[-1].exposure_end_s
    assert sum(record.done_s < last_image_s for record in commands) > 100


def test_without_the_turn_the_same_run_is_spoilt(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nobody_waits(self: Turn, who: str, limit_s: float) -> Iterator[None]:
        yield

    monkeypatch.setattr(Turn, "take", nobody_waits)
    ran = lab(RESTLESS, policy="{place: thread, slow: {queue: 8}}", acquisition=ACQUISITION)
    assert wrong_exposures(ran) > 10
