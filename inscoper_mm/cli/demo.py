"""``demo``: the main job on the demo devices, told in plain words, with pictures to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from inscoper_mm.acquisition.result import EXIT_INVALID, RunResult
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.cli.run import leave, load, run_visibly
from inscoper_mm.cli.summary import latency_text, read_report, tell, tell_warnings
from inscoper_mm.errors import InvalidInput, short_path
from inscoper_mm.images.index import Index
from inscoper_mm.library import library_dir

_CONFIG = "single_cell_screening_no_ai.yaml"
_MOST_CROPS = 48


def demo_command(output: Path) -> int:
    """Run the demo; returns the exit status."""
    console = Console()
    console.print(
        "Screening single cells: Micro-Manager's demo devices take images of a virtual specimen at several stage "
        "positions; after each image a script finds the cells and cuts out those that stand alone.",
        highlight=False,
    )
    try:
        experiment = load(library_dir("configs") / _CONFIG, [])
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    result = run_visibly(experiment, output, console)
    if result.state != "completed" or result.folder is None:
        tell(console, result)
    else:
        _tell_demo(console, result, result.folder)
    return leave(result)


def _tell_demo(console: Console, result: RunResult, folder: Path) -> None:
    crops = sorted((folder / "crops").glob("*.json"))
    answers = _answers(folder)
    cells = sum(answer["values"].get("NBR_OF_CELLS", 0) for answer in answers)
    pictures = draw_pictures(folder)
    report = read_report(folder)
    console.print(
        f"\n[green]Done[/]: {result.counts['stored']} images stored, {cells} single cells found in {len(answers)} "
        f"of them, {len(crops)} crops cut out.",
        highlight=False,
    )
    console.print(latency_text(report), highlight=False)
    tell_warnings(console, report)
    if result.errors:
        console.print(f"[red]{result.errors} errors[/]: see run.json.", highlight=False)
    console.print("\nLook at:", highlight=False)
    for what, path in (
        ("what was found", pictures[0].parent if pictures else folder),
        ("every crop, with its measurements", folder / "crops"),
        ("the images, with the script's values in their metadata (NDTiff)", folder / "images"),
        ("the run as a whole", folder / "run.json"),
    ):
        console.print(f"  {short_path(path)}", markup=False, highlight=False, end="")
        console.print(f"  {what}", style="dim", markup=False, highlight=False)


def _answers(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def draw_pictures(folder: Path) -> list[Path]:
    """Draw what a screening run found: an overlay for each segmented image, and a sheet of all crops.

    Returns the pictures, the sheet first.
    """
    import tifffile

    from inscoper_mm.images.ndtiff import read_entry, read_index
    from inscoper_mm.images.tags import from_tags
    from inscoper_mm.output.pictures import contact_sheet, overlay

    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    crops = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "crops").glob("*.json"))
    ]
    drawn = []
    for index, entry in sorted(read_index(folder / "images").items()):
        for labels in (folder / "results").glob(f"*/segmentation/{index.stem}.tif"):
            pixels, tags = read_entry(folder / "images", entry)
            single = [crop["label"] for crop in crops if _index(crop) == index]
            path = pictures / f"{index.stem}.png"
            overlay(pixels, tifffile.imread(labels), single, path, from_tags(tags).pixel_size_um)
            drawn.append(path)
    shown = crops[:_MOST_CROPS]
    if shown:
        sheet = pictures / "single_cells.png"
        contact_sheet(
            [tifffile.imread(folder / "crops" / crop["image"]) for crop in shown],
            sheet,
            [_area(crop["measurements"]) for crop in shown],
            shown[0].get("pixel_size_um"),
        )
        drawn.insert(0, sheet)
    return drawn


def _area(measurements: dict[str, Any]) -> str:
    area_um2 = measurements.get("area_um2")
    return f"{measurements['area_px']:.0f} px" if area_um2 is None else f"{area_um2:.0f} µm²"


def _index(crop: dict[str, Any]) -> Index:
    return Index(**crop["index"])
