from __future__ import annotations

import threading
import time

from inscoper_mm.acquisition.control import StopSwitch


def test_first_finish_then_now() -> None:
    stop = StopSwitch()
    killed: list[str] = []
    stop.when_now(lambda: killed.append("script"))
    assert not stop.asked
    stop.finish("user", "Ctrl-C")
    assert stop.asked
    assert not stop.now
    assert killed == []
    stop.stop_now("Ctrl-C twice")
    stop.stop_now("Ctrl-C three times")
    assert stop.now
    assert killed == ["script"]
    assert (stop.by, stop.reason) == ("user", "Ctrl-C")


def test_who_asked_first_is_told() -> None:
    stop = StopSwitch()
    stop.finish("script", "enough cells")
    stop.finish("user", "Ctrl-C")
    assert (stop.by, stop.reason) == ("script", "enough cells")


def test_a_stop_wakes_a_sleeping_loop() -> None:
    stop = StopSwitch()
    threading.Timer(0.05, stop.finish, ("user", "Ctrl-C")).start()
    begin = time.monotonic()
    assert stop.wait(30)
    assert time.monotonic() - begin < 10
    assert StopSwitch().wait(-1) is False
