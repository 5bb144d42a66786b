"""``plate``: the wells of a screened plate, drawn from a run folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from inscoper_mm.acquisition.result import EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.experiment.plates import plate_of
from inscoper_mm.output.plate_picture import write_plates


def plate_command(folder: Path) -> int:
    """Draw the plate of the run in ``folder``; returns the exit status."""
    console = Console()
    try:
        pictures = _draw(folder)
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    for picture in pictures:
        console.print(f"The plate, well by well: {short_path(picture)}", markup=False, highlight=False)
    return EXIT_OK


def _draw(folder: Path) -> list[Path]:
    file = folder / "experiment.yaml"
    if not file.is_file():
        raise InvalidInput(Finding("This is no run folder: it has no experiment.yaml.", file=str(folder)))
    experiment = load_experiment(file)
    layout = plate_of(experiment.acquisition, by_name=True)
    if layout is None:
        cure = "Plan a plate under stage_positions, or name the positions after wells: A1, A2 ..."
        raise InvalidInput(
            Finding("The run's positions are not wells of a plate.", file=str(file), cure=cure)
        )
    pictures = write_plates(folder, layout, experiment.name)
    if not pictures:
        raise InvalidInput(Finding("No script has counted cells in this run.", file=str(folder)))
    return pictures
