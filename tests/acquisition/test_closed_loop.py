"""The loop closed on the specimen: a script that measures and corrects, under rules with gain, dead band and decay."""

from __future__ import annotations

import math
from typing import Any

import pytest

from inscoper_mm.records import Captured, Corrected, Submitted

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

# Moves against the first image: the peak of the correlation, to a fraction of a pixel (1 um) by a parabola.
FOLLOW = """
import numpy as np

def fetch_images(new_image: "images"):
    return [{"timeIndex": 0}, {}]

def peak(values, at):
    below, here, above = (values[(at + step) % len(values)] for step in (-1, 0, 1))
    return at + 0.5 * (below - above) / (below - 2 * here + above)

def moved_px(first, now):
    first, now = (image - image.mean() for image in (first.astype(float), now.astype(float)))
    overlap = np.fft.irfft2(np.fft.rfft2(now) * np.fft.rfft2(first).conj(), s=now.shape)
    row, col = np.unravel_index(overlap.argmax(), overlap.shape)
    found = peak(overlap[:, col], row), peak(overlap[row], col)
    return [(value + size / 2) % size - size / 2 for value, size in zip(found, now.shape)]

def follow(images: "images", context: "IIS_CONTEXT", until: int = 1000):
    if images[1].metadata["timeIndex"] > until:
        return None
    dy_px, dx_px = moved_px(images[0].array, images[1].array)
    context.correctPosition(dx_um=dx_px, dy_um=dy_px)
    return {"metadata": {"DX": dx_px, "DY": dy_px}}
"""
JUMP = (12.0, -9.0)  # 15 um, between the third and the fourth image
LENGTH_UM = math.hypot(*JUMP)
MICROSCOPE = (
    "{backend: demo, config: galvo, specimen: {seed: 3, jumps: [{after_images: 3, "
    f"dx_um: {JUMP[0]}, dy_um: {JUMP[1]}}}]}}}}"
)
PLAN = """\
acquisition:
  channels: [{config: FITC, exposure: 20}]
  stage_positions: [{x: 0, y: 0, z: 0}]
  time_plan: {interval: 0, loops: 12}
"""


def follow(lab: Lab, stage: str, parameters: str = "{}") -> tuple[Any, list[float]]:
    """The run, and how far the stage was from the jumped specimen at each image, in um."""
    ran = lab(
        FOLLOW,
        acquisition=PLAN,
        microscope=MICROSCOPE,
        more=f"corrections: {{stage: {stage}}}",
        entry=f", parameters: {parameters}",
    )
    assert ran.result.exit_status == 0
    places = [(record.real_um["x"], record.real_um["y"]) for record in ran.of(Captured)]
    return ran, [math.dist(place, JUMP) for place in places]


def test_after_a_jump_the_stage_comes_near_by_the_gain_until_the_dead_band(lab: Lab) -> None:
    ran, away = follow(lab, "{gain: 0.5, dead_band_um: 1}")
    # Seen in the fourth image, corrected from the fifth on: 7.5, 3.75, 1.9, and 0.9 um, which is left alone.
    expected = [LENGTH_UM * 0.5**step for step in (0, 1, 2, 3, 4)]
    assert away[:4] == pytest.approx([LENGTH_UM] * 4, abs=0.1)
    assert away[3:8] == pytest.approx(expected, abs=0.4)
    assert away[-1] < 1.2
    assert away[8:] == pytest.approx([away[8]] * 4, abs=0.1)
    assert "below the dead band" in ran.of(Corrected)[-1].note


def test_with_the_correction_switched_off_the_same_run_stays_out(lab: Lab) -> None:
    ran, away = follow(lab, "{dead_band_um: 1000}")
    assert away == pytest.approx([LENGTH_UM] * 12, abs=0.1)
    seen = [math.hypot(*record.asked_um.values()) for record in ran.of(Corrected)]
    assert seen[3:] == pytest.approx([LENGTH_UM] * 9, abs=0.4)  # the script saw it all the time


def test_a_largest_step_leads_there_in_several(lab: Lab) -> None:
    _, away = follow(lab, "{largest_step_um: 4, dead_band_um: 0.5}")
    assert away[3:8] == pytest.approx([15, 11, 7, 3, 0], abs=0.5)


def test_without_the_script_a_decaying_correction_fades(lab: Lab) -> None:
    """The script falls silent after the sixth image; from the second image without it, a fifth is lost each time."""
    ran, away = follow(lab, "{decay: 0.2, dead_band_um: 1}", "{until: 5}")
    lengths = [math.hypot(*(record.correction_um or {}).values()) for record in ran.of(Submitted)]
    assert lengths[:4] == [0] * 4
    held = lengths[4]
    assert held == pytest.approx(LENGTH_UM, abs=0.4)
    assert lengths[4:7] == pytest.approx([held] * 3)
    assert lengths[7:] == pytest.approx([held * 0.8**step for step in range(1, 6)])
    assert away[11] == pytest.approx(LENGTH_UM * (1 - 0.8**5), abs=0.5)
