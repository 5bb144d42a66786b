"""``export-ctc``: the tracks of a run in the format of the Cell Tracking Challenge."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from inscoper_mm.acquisition.result import EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.errors import InvalidInput, short_path
from inscoper_mm.output.ctc_export import export_ctc


def ctc_command(run: Path, folder: Path | None, script: str) -> int:
    """Export the run; returns the exit status."""
    console = Console()
    try:
        written = export_ctc(run, folder or run / "ctc", script)
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    for place in written:
        count = sum(1 for _ in place.glob("mask*.tif"))
        tracks = (place / "res_track.txt").read_text(encoding="utf-8").count("\n")
        text = f"{short_path(place)}: {count} images, {tracks} tracks (a gap begins a new one)"
        console.print(text, markup=False, highlight=False)
    return EXIT_OK
