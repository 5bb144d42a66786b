"""One call of a script's functions, the same in every place."""

from __future__ import annotations

import time
from collections.abc import Sequence

from inscoper_mm.execution.context import CallContext, end_of_call, states_after
from inscoper_mm.execution.host import CallState, Commands, Facts, Reply
from inscoper_mm.scripting.answers import AnswerError, check_answer
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script
from inscoper_mm.scripting.named import named_values
from inscoper_mm.scripting.plain import NotPlain


def facts_of(script: Script) -> Facts:
    """What loading found out about ``script``."""
    return Facts(
        script.provider.name,
        script.process.name,
        script.asynchronous,
        script.processors,
        script.findings,
        named_values(script),
    )


def run_process(script: Script, images: Sequence[Image], commands: Commands, start: CallState) -> Reply:
    """Call the processing function and check what it returned.

    Raises
    ------
    AnswerError
        The answer or a state is rubbish.
    BaseException
        What the script raised.
    """
    context = CallContext(commands, start)
    begin = time.perf_counter()
    try:
        returned = script.run(Images(images), context)
    finally:
        end_of_call(context)
    process_s = time.perf_counter() - begin
    answer = check_answer(returned, {image.shape for image in images})
    try:
        state, run_state = states_after(context)
    except NotPlain as error:
        raise AnswerError(str(error)) from None
    return Reply(answer, state, run_state, process_s)
