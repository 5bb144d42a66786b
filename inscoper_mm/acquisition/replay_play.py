"""Recorded images on their way to the scripts, in the order of their acquisition."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from inscoper_mm.acquisition.bridge import Bridge
from inscoper_mm.acquisition.developing import captured
from inscoper_mm.acquisition.replay_journal import RunRecord
from inscoper_mm.acquisition.services import Services
from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.recording import Recording
from inscoper_mm.records import EventSkipped, Injected, Logged, Planned
from inscoper_mm.stream import Stream


class NotStored:
    """In place of the data set: the images are stored already; injected values are in the results."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def put(self, frame: Frame, limit_s: float) -> None:
        """Nothing to do."""

    def answer(self, info: FrameInfo, script: str, values: Mapping[str, Any]) -> None:
        """Tell that the values are in the side file."""
        self._stream.publish(Injected(info.event_id, script, tuple(values), "side_file"))


class SizesAt:
    """The sizes that hold for an index: as planned, as the data set has them, or as last seen."""

    def __init__(self, recording: Recording, run: RunRecord) -> None:
        planned = {(index.position, index.channel): sizes for index, sizes in run.planned.items()}
        self._sizes = {**recording.sizes, **planned}
        self._recording = recording

    def __call__(self, index: Index) -> Sizes:
        found = self._sizes.get((index.position, index.channel))
        if found is None and index in self._recording.order:
            with contextlib.suppress(StorageError):
                found = self._recording.read(index).info.sizes
                self._sizes[index.position, index.channel] = found
        if found is not None:
            return found
        # Of no image: the largest sizes, so that the error names a range.
        known = list(self._sizes.values()) or [Sizes()]
        return Sizes(*(max(getattr(sizes, axis) for sizes in known) for axis in known[0].to_dict()))


class Player:
    """Gives the recorded images to the scripts, in the order of their acquisition."""

    def __init__(self, recording: Recording, run: RunRecord, services: Services, bridge: Bridge) -> None:
        self._recording = recording
        self._run = run
        self._services = services
        self._bridge = bridge
        self._publish = services.stream.publish
        self._lost = iter(run.lost)
        self._steps = {event: at for at, (event, _) in enumerate(run.lost)}
        self._step = 0

    def play(self) -> None:
        """Play until the end, or until somebody stops it.

        Raises
        ------
        BaseException
            The error of a script whose policy is ``abort``, or of the disk.
        """
        stop = self._services.stop
        for burst in self._bursts():
            for frame in [self._kept(frame) for frame in burst]:
                if stop.asked:
                    break
                self._bridge.answer(self._bridge.ask(frame))
            if stop.asked:
                break
        if stop.failure is not None:
            raise stop.failure

    def _bursts(self) -> Iterator[list[Frame]]:
        """The images that were taken together, one after the other otherwise."""
        waiting: list[Frame] = []
        burst: str | None = None
        for index in self._recording.order:
            frame = self._read(index)
            if frame is None:
                continue
            own = self._run.bursts.get(frame.info.event_id)
            if waiting and (own is None or own != burst):
                yield waiting
                waiting = []
            waiting.append(frame)
            burst = own
            if own is None:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _read(self, index: Index) -> Frame | None:
        try:
            return self._recording.read(index)
        except StorageError as error:
            self._publish(Logged(str(error), "error"))
            self._publish(Planned(str(index), index.to_dict(), self._services.sizes_at(index).to_dict()))
            self._publish(EventSkipped(str(index), index.to_dict(), str(error)))
            self._services.fates.lost(index)
            return None

    def _kept(self, frame: Frame) -> Frame:
        """The image as if it had just come; from here on scripts may ask for it."""
        info = frame.info
        self._lose_until(info.event_id)
        now = self._services.stream.clock.now()
        # The time that the scripts take is counted from here.
        info = replace(info, exposure_end_s=now, arrived_s=now)
        self._publish(
            Planned(
                info.event_id,
                info.index.to_dict(),
                info.sizes.to_dict(),
                added_by=info.added_by,
                label=info.label,
            )
        )
        frame = Frame(info, frame.pixels)
        self._publish(captured(frame))
        self._bridge.store(frame)
        self._services.fates.captured(info.index)
        return frame

    def _lose_until(self, event: str) -> None:
        """What the run had lost before this image is lost here, too."""
        at = self._steps.get(event, -1)
        while self._step <= at:
            for index in self._run.lost[self._step][1]:
                self._services.fates.lost(index)
            self._step += 1
