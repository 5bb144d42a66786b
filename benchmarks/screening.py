"""Single cells: how many of those that are alone are found, against the textbook's pipeline, on the same images."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from interleave import interleave, timing_table
from nuclei import textbook

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.experiment.plates import plate_of
from inscoper_mm.experiment.sites import sites_of
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.library import library_dir
from inscoper_mm.output.cell_table import CellTableFile
from inscoper_mm.output.crop_files import write_crops
from inscoper_mm.scripting.image import Image as ScriptImage
from inscoper_mm.scripting.image import Images
from inscoper_mm.segmentation.single_cells import Cropping, SingleCells, Wanted
from inscoper_mm.specimen import Specimen, SpecimenParameters, View
from inscoper_mm.specimen.scoring import match

Image = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.integer]
Find = Callable[[Image], Labels]

OURS, TEXTBOOK = "inscoper_mm", "Otsu, distance, watershed (scikit-image)"
CHANNELS = ("DAPI", "FITC")
SEEDS = range(1, 11)
PLACES_UM = ((0.0, 0.0), (700.0, -400.0))
SIDES_PX = (512, 2048)


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    parts = ["## Single cells", _on_the_specimen(), _a_plate()]
    parts += [_times(side, options.rounds) for side in SIDES_PX]
    return "\n\n".join([*parts, _besides_segmentation(options.rounds)])


def single_cells(image: Image) -> Labels:
    """What the script ``single_cell_screening_no_ai`` keeps, with its defaults."""
    labels = segment_cells(image)
    verdicts = screen_cells(labels, measure_cells(labels, image), Rules())
    return np.where(np.isin(labels, [each.label for each in verdicts if each.single]), labels, 0)


def _on_the_specimen() -> str:
    lines = [
        f"Of the virtual specimen's cells that are alone, in {len(SEEDS) * len(PLACES_UM)} fields of 512 x 512 "
        f"({len(SEEDS)} specimens), those found at an overlap of at least 0.5; wrong is what is kept and is no cell "
        "of the field, or not its shape.",
        "",
        "| what | channel | alone | found | wrong |",
        "|---|---|---:|---:|---:|",
    ]
    for name, find in ((f"{OURS}, single_cell_screening_no_ai", single_cells), (TEXTBOOK, textbook)):
        for channel in CHANNELS:
            isolated, hits, wrong, kept = _screened(channel, find)
            lines.append(
                f"| {name} | {channel} | {isolated} | {100 * hits / isolated:.1f} % | {100 * wrong / kept:.1f} % |"
            )
    return "\n".join(lines)


def _screened(channel: str, find: Find) -> tuple[int, int, int, int]:
    """Cells that are alone, those of them found, what is wrong, and all that is kept."""
    isolated = hits = wrong = kept = 0
    for seed in SEEDS:
        specimen = Specimen(SpecimenParameters(seed=seed))
        for number, (x_um, y_um) in enumerate(PLACES_UM):
            view = View(x_um, y_um, 0.0, channel, 20.0, image=number)
            labels = find(specimen.render(view))
            result = match(labels, specimen.truth(view))
            shown = set(np.unique(labels).tolist()) - {0}
            wrong += len(shown - set(result.pairs.values()))
            kept += len(shown)
            isolated += result.isolated
            hits += result.isolated_hits
    return isolated, hits, wrong, kept


def _a_plate() -> str:
    """The plate of the example, field by field, with the script's own count; the truth is that of the nuclei."""
    experiment = load_experiment(library_dir("configs") / "plate_screen.yaml")
    specimen = Specimen(SpecimenParameters.from_mapping(experiment.microscope.specimen))
    sites = sites_of(experiment.acquisition)
    wells = plate_of(experiment.acquisition)
    lines = [
        f"A plate of {len(set(wells.wells.values())) if wells else 0} wells, {len(sites)} fields "
        "(`configs/plate_screen.yaml`): cells with the middle of their nucleus in a field, and `CELLS_FOUND` of "
        "single_cell_screening_no_ai.",
        "",
        "| channel | true | counted | difference | of a field, root mean square |",
        "|---|---:|---:|---:|---:|",
    ]
    for channel in CHANNELS:
        true, counted = np.zeros(len(sites)), np.zeros(len(sites))
        for number, site in enumerate(sites):
            x_um, y_um = (site.x_um or 0.0) + site.dx_um, (site.y_um or 0.0) + site.dy_um
            view = View(x_um, y_um, 0.0, channel, 20.0, image=number)
            cells = specimen.truth(view).cells
            true[number] = sum(
                0 <= cell.nucleus_row_px + 0.5 < 512 and 0 <= cell.nucleus_col_px + 0.5 < 512
                for cell in cells
            )
            images = _as_a_call([specimen.render(view)])
            answer = SingleCells.of(images, segment_cells(images[0].array), Wanted()).answer(
                Cropping(), __file__
            )
            counted[number] = answer["metadata"]["CELLS_FOUND"]
        rms = np.sqrt(np.mean((counted - true) ** 2))
        share = 100 * (counted.sum() / true.sum() - 1)
        lines.append(f"| {channel} | {true.sum():.0f} | {counted.sum():.0f} | {share:+.2f} % | {rms:.1f} |")
    return "\n".join(lines)


def _as_a_call(pictures: Sequence[Image]) -> Images:
    """Pictures of one place as a script gets them."""
    place = {f"{axis}{word}": 0 for axis in ("time", "position", "focus") for word in ("Index", "Size")}
    place |= {"pixelSize_um": 1.0, "pixelToStage_um": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    return Images(
        ScriptImage(place | {"channelIndex": number, "channelName": CHANNELS[number]}, pixels)
        for number, pixels in enumerate(pictures)
    )


def _besides_segmentation(rounds: int) -> str:
    """What a call costs besides the labels, and what writing its results costs, beside the run."""
    specimen = Specimen(SpecimenParameters(seed=1))
    pictures = [specimen.render(View(0.0, 0.0, 0.0, channel, 20.0)) for channel in CHANNELS]
    labels = segment_cells(pictures[0])
    one, two = _as_a_call(pictures[:1]), _as_a_call(pictures)

    def screen(images: Images) -> dict[str, Any]:
        return SingleCells.of(images, labels, Wanted()).answer(Cropping(size_px=48), __file__)

    answer = screen(two)
    infos = (FrameInfo("e", Index(time), Sizes(), pixel_size_um=1.0) for time in count())
    with TemporaryDirectory() as folder:
        table = CellTableFile(Path(folder))
        timings = interleave(
            {
                "measure, judge and cut out, one channel": lambda: screen(one),
                "the same, two channels": lambda: screen(two),
                "write the crops of two channels": lambda: write_crops(
                    Path(folder) / "crops", next(infos), answer["crop"], {}
                ),
                "write the rows of the table": lambda: table.append(next(infos), answer["cells"]),
            },
            rounds=rounds,
        )
        table.close()
    about = (
        f"{len(answer['crop'])} single cells of {labels.max()} in 512 x 512; writing is done beside the run."
    )
    return f"### Besides the segmentation\n\n{about}\n\n{timing_table(timings)}"


def _times(side_px: int, rounds: int) -> str:
    specimen = Specimen(SpecimenParameters(seed=1))
    image = specimen.render(View(0.0, 0.0, 0.0, "DAPI", 20.0, sensor=(side_px, side_px)))
    timings = interleave(
        {OURS: lambda: single_cells(image), TEXTBOOK: lambda: textbook(image)}, rounds=rounds
    )
    cells = measure_cells(segment_cells(image))
    return f"### {side_px} x {side_px}, {len(cells['label'])} cells\n\n{timing_table(timings)}"
