"""Where a run's images and results go: writers, the cache that reads them back, and the book of fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from inscoper_mm.acquisition.bridge import DISK_LIMIT_S
from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.report import Report
from inscoper_mm.acquisition.screened_plate import draw_screened_plate
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.ndtiff import ImageWriter
from inscoper_mm.output.fired import FiredWriter
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.records import Injected, Logged, Stored
from inscoper_mm.stream import Stream


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run writes to, and reads images back from."""

    writer: ImageWriter
    results: ResultsWriter
    cache: FrameCache


def open_outputs(
    experiment: Experiment,
    plan: Plan,
    report: Report,
    stream: Stream,
    closing: Closing,
    disk_failed: Callable[[BaseException], None],
) -> Outputs:
    """Open the writers of a run folder; ``closing`` gets their ends.

    Parameters
    ----------
    experiment, plan, report, stream
        Of the run.
    closing : Closing
    disk_failed : callable
        Gets the error when an image cannot be stored.
    """
    publish = stream.publish

    def stored(info: FrameInfo, file: str) -> None:
        publish(Stored(info.event_id, info.index.to_dict(), file))

    def answered(info: FrameInfo, script: str, keys: tuple[str, ...], where: str) -> None:
        publish(Injected(info.event_id, script, keys, where))  # type: ignore[arg-type]

    output = experiment.output
    writer = ImageWriter(
        report.folder.images,
        experiment.name,
        report.summary_metadata(plan),
        on_stored=stored,
        on_answered=answered,
        on_error=disk_failed,
        answer_bytes=output.answer_bytes if experiment.scripts else 0,
        file_bytes=output.file_bytes,
    )
    closing.add("closing the images", partial(writer.close, DISK_LIMIT_S))
    # After the results are closed.
    closing.add("drawing the plate", partial(draw_screened_plate, experiment, report, stream))
    # A result that cannot be written is told; the images are worth more than ending the run over it.
    results = ResultsWriter(
        report.folder.results, on_error=lambda error: publish(Logged(str(error), "error"))
    )
    closing.add("closing the results", partial(results.close, DISK_LIMIT_S))
    cache = FrameCache(output.cache_bytes, writer.read_frame)
    _book_fires(report, cache, stream, closing)
    return Outputs(writer, results, cache)


def _book_fires(report: Report, cache: FrameCache, stream: Stream, closing: Closing) -> None:
    def warn(text: str) -> None:
        stream.publish(Logged(text, "warning"))

    book = FiredWriter(report.folder.path / "photomanipulation", cache.get, warn)
    stream.subscribe(book)
    closing.add("writing down what was fired", book.close)
