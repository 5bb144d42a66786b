from __future__ import annotations

import pytest

from inscoper_mm.acquisition.standing import Standing
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.limits import Axis

A: dict[Axis, float] = {"x_um": 10.0, "y_um": 20.0, "z_um": 1.0}
AT_A = StagePosition(10.005, 19.995, 1.0)  # a stage stops at its own steps


def standing() -> Standing:
    standing = Standing()
    standing.arrived(A, AT_A)
    return standing


CASES: dict[str, tuple[dict[Axis, float], StagePosition, set[Axis], set[Axis]]] = {
    "nothing to do": (A, AT_A, set(), set()),
    "encoder noise": (A, StagePosition(10.05, 19.95, 1.05), set(), set()),
    "the next slice": (A | {"z_um": 2.0}, AT_A, set(), {"z_um"}),
    "one axis of the stage takes the other along": (A | {"x_um": 11.0}, AT_A, set(), {"x_um", "y_um"}),
    "somebody used the joystick": (A, StagePosition(12.0, 19.995, 1.0), set(), {"x_um", "y_um"}),
    "the focus has drifted": (A, StagePosition(10.005, 19.995, 1.3), set(), {"z_um"}),
    "a script moved it and came back": (A, AT_A, {"z_um"}, {"z_um"}),
    "a device that tells no position": (A, StagePosition(10.005, 19.995, None), set(), {"z_um"}),
    "a tiny correction": (A | {"z_um": 1.001}, AT_A, set(), {"z_um"}),
    "no focus in the plan": ({"x_um": 10.0, "y_um": 20.0}, AT_A, set(), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_has_to_move_is_sent(name: str) -> None:
    target, now, moved, sent = CASES[name]
    assert set(standing().to_send(target, now, moved)) == sent


def test_a_slow_drift_adds_up_until_it_is_sent_back() -> None:
    focus = standing()
    sent = [focus.to_send(A, StagePosition(10.005, 19.995, 1.0 + 0.04 * image), ()) for image in range(5)]
    assert [set(axes) for axes in sent] == [set(), set(), set(), {"z_um"}, {"z_um"}]


def test_the_first_event_and_one_after_a_failure_send_everything() -> None:
    assert Standing().to_send(A, AT_A, ()) == A
    failed = standing()
    failed.forget()
    assert failed.to_send(A, AT_A, ()) == A
