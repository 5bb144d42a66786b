"""The scripts of an experiment: loaded with the user's values, and their providers asked about every planned image."""

from __future__ import annotations

import contextlib
import io
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.acquisition.check_devices import check_script_devices
from inscoper_mm.acquisition.check_fire import check_script_fire
from inscoper_mm.acquisition.check_geometry import check_script_geometry
from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.acquisition.check_pace import check_script_pace
from inscoper_mm.acquisition.resources import resources_of
from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.experiment.document import Key
from inscoper_mm.experiment.model import Experiment, ScriptConfig
from inscoper_mm.experiment.overrides import parse_path
from inscoper_mm.experiment.plan import Plan, PlannedEvent
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.library import find_script
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script, load_script
from inscoper_mm.scripting.named import named_values, unjudged_names
from inscoper_mm.scripting.requests import Fate, RequestError, resolve_requests
from inscoper_mm.scripting.spec import Resources, ScriptSpec
from inscoper_mm.scripting.vocabulary import metadata_of

# The contract's limit for one answer of a provider, and what the check may take for all of them.
_ANSWER_LIMIT_S = 1.0
ALL_ANSWERS_LIMIT_S = 60.0
_MOST_FINDINGS = 5


@dataclass(slots=True)
class Calls:
    """How often a script's processing would run: ``processed`` of ``asked`` images; the plan has ``images``."""

    images: int
    asked: int = 0
    processed: int = 0
    failed: int = 0


def check_scripts(
    experiment: Experiment,
    plan: Plan | None,
    facts: MicroscopeFacts | None,
    notes: Notes,
    limit_s: float = ALL_ANSWERS_LIMIT_S,
) -> list[dict[str, Any]]:
    """Load every script and ask its provider; returns what is known about each, as JSON values.

    Parameters
    ----------
    experiment : Experiment
    plan : Plan, optional
        Without one, the providers are not asked.
    facts : MicroscopeFacts, optional
    notes : Notes
        Gets the findings.
    limit_s : float
        How long one provider may take for all images.
    """
    single = notes.document.value.get("script") is not None
    resources = _resources(experiment, facts)
    found = []
    for number, config in enumerate(experiment.scripts):
        path: tuple[Key, ...] = ("script",) if single else ("scripts", number)
        # What a script prints must not mix with what the check says.
        with contextlib.redirect_stdout(io.StringIO()):
            script = _load(config, resources, path, notes)
            calls = None
            if script is not None:
                check_script_devices(script, facts, path, notes)
                check_script_geometry(config.name, script.context_names, facts, notes, path)
                check_script_fire(experiment, config.name, script.context_names, facts, notes, path)
                check_script_pace(config, script, path, notes)
            if script is not None and plan is not None:
                calls = _ask_provider(script, plan, facts, path, notes, limit_s)
        found.append(_describe(config, script, calls))
    return found


def _resources(experiment: Experiment, facts: MicroscopeFacts | None) -> Resources:
    if facts is None:
        return Resources(aliases=experiment.aliases)
    inventory = facts.inventory.with_aliases(experiment.aliases) if facts.inventory else None
    return resources_of(facts.groups, facts.channel_group, inventory)


def _load(config: ScriptConfig, resources: Resources, path: tuple[Key, ...], notes: Notes) -> Script | None:
    try:
        file = find_script(config.file)
    except InvalidInput as error:
        for finding in error.findings:
            notes.place(finding, (*path, "file"))
        return None
    try:
        script = load_script(_spec(config, file, resources))
    except InvalidInput as error:
        _place_all(error.findings, path, notes)
        return None
    _place_all((*script.findings, *unjudged_names(named_values(script), resources)), path, notes)
    return script


def _place_all(findings: tuple[Finding, ...], path: tuple[Key, ...], notes: Notes) -> None:
    """Faults of the user's values belong to the experiment file, those of the script to the script."""
    for finding in findings:
        keys = parse_path(finding.field) if finding.field else ()
        of_values = bool(keys) and keys[0] in ("parameters", "provider_parameters")
        notes.place(replace(finding, file=None, line=None) if of_values else finding, (*path, *keys))


def _spec(config: ScriptConfig, file: Path, resources: Resources) -> ScriptSpec:
    return ScriptSpec(
        name=config.name,
        file=file,
        provider=config.provider,
        process=config.process,
        use_async=config.is_async,
        provider_parameters=config.provider_parameters,
        parameters=config.parameters,
        resources=resources,
    )


# -- asking the provider


def _ask_provider(
    script: Script,
    plan: Plan,
    facts: MicroscopeFacts | None,
    path: tuple[Key, ...],
    notes: Notes,
    limit_s: float,
) -> Calls:
    calls = Calls(len(plan))
    findings: list[Finding] = []
    asking = threading.Event()
    asking.set()
    work = _Asking(script, plan, facts or MicroscopeFacts(""), calls, findings, asking)
    # A provider that never returns cannot be stopped; as a daemon it does not keep the program alive.
    thread = threading.Thread(target=work.run, name=f"check of {script.name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    asking.clear()
    for finding in findings[:_MOST_FINDINGS]:
        notes.place(finding, path)
    if calls.asked < calls.images:
        message = f"the provider answered for {calls.asked} of {calls.images} images in {limit_s:g} s."
        cure = f"An answer may take {_ANSWER_LIMIT_S:g} s at most."
        notes.add("warning", path, message, frame=work.frame, cure=cure)
    if calls.failed:
        message = f"the provider fails for {calls.failed} of {calls.images} images."
        notes.add("error", path, message)
    elif not calls.processed and calls.asked == calls.images:
        message = f"processing would never run: the provider declines all {calls.images} images."
        cure = "Compare its gate and its parameters with the plan's sizes."
        notes.add("warning", path, message, cure=cure)
    return calls


class _Asking:
    """Asks the provider about each planned image, in acquisition order, with black pixels."""

    def __init__(
        self,
        script: Script,
        plan: Plan,
        facts: MicroscopeFacts,
        calls: Calls,
        findings: list[Finding],
        asking: threading.Event,
    ) -> None:
        self._script, self._plan, self._facts = script, plan, facts
        self._calls, self._findings, self._asking = calls, findings, asking
        self._order = {event.index: number for number, event in enumerate(plan)}
        self._pixels = _black(facts)
        self._said: set[str] = set()
        self.frame: str | None = None

    def run(self) -> None:
        """Ask about all of them, until told to stop."""
        for number, event in enumerate(self._plan):
            if not self._asking.is_set():
                return
            self.frame = event.index.stem
            self._ask(number, event)
            self._calls.asked += 1

    def _ask(self, number: int, event: PlannedEvent) -> None:
        info = _info(event, self._facts)
        began_s = time.perf_counter()
        try:
            answer = self._script.provide(Images([Image(metadata_of(info), self._pixels)]))
            requests = resolve_requests(answer, info, self._fate(number), self._sizes)
        except RequestError as error:
            self._fail(str(error), error.reason, event)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (foreign code: told, whatever it is)
            file, line = _place_in(error, self._script.spec.file)
            message = f"the provider raises {type(error).__name__}: {error}"
            self._fail(message, f"{type(error).__name__} {line}", event, file, line)
        else:
            self._calls.processed += bool(requests)
        took_s = time.perf_counter() - began_s
        if took_s > _ANSWER_LIMIT_S:
            message = f"the provider took {took_s:.1f} s; its limit is {_ANSWER_LIMIT_S:g} s."
            self._tell(message, "slow", event)

    def _fail(
        self, message: str, kind: str, event: PlannedEvent, file: str | None = None, line: int | None = None
    ) -> None:
        self._calls.failed += 1
        self._tell(message, kind, event, file, line)

    def _tell(
        self, message: str, kind: str, event: PlannedEvent, file: str | None = None, line: int | None = None
    ) -> None:
        """Keep the first finding of each kind: the same fault comes back with every image."""
        if kind not in self._said:
            self._said.add(kind)
            function = self._script.provider.name
            self._findings.append(
                Finding(message, file=file, line=line, function=function, frame=event.index.stem)
            )

    def _fate(self, number: int) -> Callable[[Index], Fate]:
        def fate(index: Index) -> Fate:
            when = self._order.get(index)
            return "unknown" if when is None else "stored" if when <= number else "pending"

        return fate

    def _sizes(self, index: Index) -> Sizes:
        sizes, channel = self._plan.sizes, self._plan.channels[index.channel]
        return Sizes(sizes.time, sizes.position, sizes.channel, len(self._plan.slots(channel)))


def _black(facts: MicroscopeFacts) -> npt.NDArray[Any]:
    """A black image of the camera's size that takes no memory."""
    dtype = np.uint8 if facts.bytes_per_pixel == 1 else np.uint16
    return np.broadcast_to(dtype(0), facts.image_shape or (512, 512))


def _info(event: PlannedEvent, facts: MicroscopeFacts) -> FrameInfo:
    # Scripts calculate with positions: unknown ones are 0 here, as they will be numbers in the run.
    place = StagePosition(event.x_um or 0.0, event.y_um or 0.0, event.z_um or 0.0)
    return FrameInfo(
        event.id,
        event.index,
        event.sizes,
        channel_name=event.channel,
        position_name=event.position_name,
        planned=place,
        real=place,
        exposure_ms=event.exposure_ms or facts.exposure_ms or 10.0,
        pixel_size_um=facts.pixel_size_um,
        elapsed_ms=1000 * (event.due_s or 0.0),
        camera=facts.camera or "",
    )


def _place_in(error: BaseException, file: Path) -> tuple[str | None, int | None]:
    """The line of the script (or of a file next to it) that raised ``error``."""

    def frames() -> Iterator[traceback.FrameSummary]:
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).parent == file.parent:
                yield frame

    found = next(frames(), None)
    return (short_path(found.filename), found.lineno) if found else (None, None)


def _describe(config: ScriptConfig, script: Script | None, calls: Calls | None) -> dict[str, Any]:
    asynchronous = script.asynchronous if script else config.is_async
    policy = config.policy.for_script(asynchronous)
    known: dict[str, Any] = {"name": config.name, "file": config.file, "asynchronous": asynchronous}
    known |= {"place": policy.place, "slow": policy.slow, "error": policy.error, "limit_s": policy.limit_s}
    if script is not None:
        known |= {"provider": script.provider.name, "process": script.process.name}
        known["processors"] = list(script.processors)
    if calls is not None:
        known |= {"images": calls.images, "asked": calls.asked, "processed": calls.processed}
    return known
