"""What scripts ask the microscope goes into the journal with the answer: without it no run could be replayed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inscoper_mm.images.jsonable import json_safe, json_text
from inscoper_mm.records import Answered

if TYPE_CHECKING:
    from inscoper_mm.acquisition.commands.base import Commander

# Questions about an image's own geometry are answered from the image, in a replay as in the run.
JOURNALED = frozenset(
    (
        "getStagePosition",
        "getFocus",
        "getChannels",
        "getChannel",
        "getExposure",
        "getSubDevices",
        "getConstraints",
        "get",
        "check",
    )
)


class Questions:
    """Tells the journal of answers; one that is the same as the last time is not told again."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], str] = {}

    def ask(
        self,
        commander: Commander,
        number: int,
        name: str,
        method: Callable[..., Any],
        bound: inspect.BoundArguments,
    ) -> Any:
        """Answer a question, and write the answer down.

        Parameters
        ----------
        commander : Commander
            Who asks.
        number : int
            How much its call has asked and commanded before.
        name : str
            The method, as the contract spells it.
        method : callable
            Answers it.
        bound : inspect.BoundArguments
            Its arguments, the commander first.
        """
        bound.apply_defaults()
        asked = json_safe(dict(list(bound.arguments.items())[1:]))
        try:
            answer = method(*bound.args, **bound.kwargs)
        except Exception as error:
            told = {"message": str(error), "error": type(error).__name__}
            self._tell(commander, number, name, asked, told)
            raise
        self._tell(commander, number, name, asked, {"answer": json_safe(answer)})
        return answer

    def _tell(
        self, commander: Commander, number: int, name: str, asked: dict[str, Any], told: dict[str, Any]
    ) -> None:
        key, text = (commander.script, name, json_text(asked)), json_text(told)
        if self._last.get(key) != text:
            self._last[key] = text
            record = Answered(commander.script, commander.info.event_id, name, asked, number, **told)
            commander.live.stream.publish(record)
