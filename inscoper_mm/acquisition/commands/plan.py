"""Changing the plan while it runs."""

from __future__ import annotations

from typing import Any

from inscoper_mm.acquisition.commands.base import Commander


def stop(commander: Commander, reason: str = "") -> None:
    """End the run after this event; what was captured is stored and all decisions are taken."""
    script = commander.script

    def act(target: dict[str, Any]) -> dict[str, Any]:
        commander.live.stop.finish("script", f"{script}: {reason}" if reason else script)
        return target

    commander.without_turn("stop", {"reason": reason}, lambda: {"reason": str(reason)}, act)


METHODS = (stop,)
