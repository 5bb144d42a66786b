from __future__ import annotations

import threading
import time

import pytest

from inscoper_mm.errors import CommandRefused
from inscoper_mm.microscope.turn import Turn


def test_only_one_has_the_turn() -> None:
    turn = Turn()
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turn.take("worker", 10.0):
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1
    assert turn.holder is None


def test_the_turn_is_handed_over_in_the_order_of_asking() -> None:
    turn = Turn()
    order: list[str] = []
    waiting = []
    with turn.take("loop", 1.0):
        for name in ("first", "second", "third"):

            def ask(name: str = name) -> None:
                with turn.take(name, 10.0):
                    order.append(name)

            thread = threading.Thread(target=ask)
            thread.start()
            waiting.append(thread)
            while len(turn._waiting) < len(waiting):
                time.sleep(0.001)
    for thread in waiting:
        thread.join(10)
    assert order == ["first", "second", "third"]


def test_a_busy_loop_does_not_starve_a_command() -> None:
    turn = Turn()
    turns_of_loop = 0
    served = threading.Event()

    def command() -> None:
        with turn.take("command", 10.0):
            served.set()

    thread = threading.Thread(target=command)
    with turn.take("loop", 1.0):
        thread.start()
        while not turn._waiting:
            time.sleep(0.001)
    while not served.is_set():  # asks again at once, as a loop without due times does
        with turn.take("loop", 1.0):
            turns_of_loop += 1
    thread.join(10)
    assert turns_of_loop <= 1


def test_a_limit_names_the_holder_and_leaves_the_turn_usable() -> None:
    turn = Turn()
    with (
        turn.take("event e000007", 1.0),
        pytest.raises(CommandRefused, match=r"moveStage.*0\.05 s.*event e000007"),
        turn.take("moveStage by tracker", 0.05),
    ):
        pytest.fail("the turn was given twice")
    with turn.take("next", 0.05):
        assert turn.holder == "next"


def test_an_error_inside_gives_the_turn_back() -> None:
    turn = Turn()
    with pytest.raises(ZeroDivisionError), turn.take("script", 1.0):
        1 / 0  # noqa: B018
    assert turn.holder is None
