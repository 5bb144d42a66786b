"""What the scripts of a run on the live microscope share."""

from __future__ import annotations

from typing import Any

from inscoper_mm.acquisition.context import ScriptCommands
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.outputs import Outputs
from inscoper_mm.acquisition.services import Services
from inscoper_mm.acquisition.states import States
from inscoper_mm.images.frame import FrameInfo


def live_services(live: Live, outputs: Outputs) -> Services:
    """The services of a run: its commands go to the microscope of ``live``."""
    clock, schedule, firing = live.stream.clock, live.schedule, live.firing

    def published(script: str, info: FrameInfo, rois: Any) -> None:
        if firing is not None:
            firing.published(script, info, rois)

    return Services(
        stream=live.stream,
        stop=live.stop,
        commands=lambda script, info: ScriptCommands(live, script, info, outputs.cache.get),
        elapsed_s=lambda info: clock.now() - schedule.begun_s,
        published=published,
        sizes_at=schedule.sizes_at,
        writer=outputs.writer,
        results=outputs.results,
        states=States(),
        cache=outputs.cache,
        fates=live.fates,
    )
