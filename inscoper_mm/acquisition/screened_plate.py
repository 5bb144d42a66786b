"""The picture of a well plate, drawn when a run or a replay is over."""

from __future__ import annotations

from inscoper_mm.acquisition.report import Report
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plates import plate_of
from inscoper_mm.output.plate_picture import write_plates
from inscoper_mm.records import Logged
from inscoper_mm.stream import Stream


def draw_screened_plate(experiment: Experiment, report: Report, stream: Stream) -> None:
    """Show the wells of the experiment's plate, if it has one, once the results are closed.

    Nothing is lost where that fails: it is told, and ``inscoper-mm plate`` does it again.
    """
    layout = plate_of(experiment.acquisition)
    if layout is None:
        return
    try:
        pictures = write_plates(report.folder.path, layout, experiment.name)
    except Exception as error:  # noqa: BLE001  (told; a picture must not make a run fail)
        stream.publish(Logged(f"The plate could not be drawn: {type(error).__name__}: {error}", "warning"))
        return
    for picture in pictures:
        name = picture.relative_to(report.folder.path).as_posix()
        stream.publish(Logged(f"The plate, well by well, is in {name}, its numbers beside it in plate.csv."))
