"""Follow a population of cells over time: find them in each image or stack, link them into tracks, tell their series.

Cells that are lost for some images are waited for, cells that divide have daughters, and the drift of the stage and of
the specimen, which all cells share, is measured and taken out. Each position is followed on its own.
"""

from typing import Annotated, Literal

from _image_provider_functions import fetch_zstack

from inscoper_mm.analysis.linking import LinkSettings
from inscoper_mm.output.track_state import KeptKnowledge, first_number, keep_numbers
from inscoper_mm.scripting.twins import twin_of
from inscoper_mm.segmentation.cell_fields import find_cells, without_small
from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.classical import classical_segmenter
from inscoper_mm.segmentation.followed_cells import Memory, follow_cells
from inscoper_mm.segmentation.single_cells import diameter_px

DATA_PROCESSORS = ("segmentation", "tracks", "timeseries")

_KNOWLEDGE = KeptKnowledge("tracking")


def fetch_images(new_image: "images", channel_index: int = 0):
    """Wait until the stack of one channel is complete, then ask for all its slices; a single image is a stack, too.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which cells are followed, counted from 0 in the order of the experiment.
    """
    return [] if new_image.metadata.get("addedBy") else fetch_zstack(new_image, channel_index)


def prepare(method, model, gpu, threshold, manual_level, objects):
    """Load the network before the acquisition begins."""
    _segmenter(method, model, gpu, threshold, manual_level, objects).warm_up()


def cell_population_tracking(
    images: "images",
    context: "IIS_CONTEXT",
    method: Literal["threshold", "cellpose"] = "threshold",
    model: str = "small_nuclei",
    gpu: Literal["auto", "yes", "no"] = "auto",
    threshold: Literal["otsu", "local", "li", "manual"] = "otsu",
    manual_level: float = 0.0,
    objects: Literal["bright", "phase"] = "bright",
    diameter_um: Annotated[float, {"min": 0, "max": 1000}] = 0.0,
    min_area_um2: Annotated[float, {"min": 0}] = 0.0,
    z_stack: Literal["stack", "projection"] = "stack",
    max_step_um: Annotated[float, {"min": 0.01}] = 15.0,
    gap_images: Annotated[int, {"min": 0, "max": 100}] = 3,
    divisions: bool = True,
    compensate_drift: bool = True,
    time_step_s: Annotated[float, {"min": 0}] = 0.0,
    save_tracks: bool = False,
):
    """Find the cells, link them to those of the image before, and tell what the population does.

    Parameters
    ----------
    images : images
        One image, or the slices of one stack.
    context : IIS_CONTEXT
    method : str
        threshold: grey values and a watershed. cellpose: a neural network.
    model : str
        Of cellpose: small_nuclei (for demonstrations and tests), cyto3, nuclei, cpsam, or a path.
    gpu : str
        For cellpose. auto: where there is one. yes: an error where there is none.
    threshold : str
        Without cellpose: how the grey value is found that separates cells from background.
    manual_level : float
        The grey value for threshold manual.
    objects : str
        Without cellpose: bright cells on dark ground, or transparent ones in brightfield, a little below the focus.
    diameter_um : float
        Typical diameter of a cell; 0 is estimated from each image.
    min_area_um2 : float
        What is smaller is no cell; not for stacks.
    z_stack : str
        stack: cells of a z-stack have a height and a volume. projection: they are found in its brightest pixels.
    max_step_um : float
        How far a cell may be from where it is expected in the next image, once drift is taken out.
    gap_images : int
        For how many images a lost cell is waited for.
    divisions : bool
        Whether cells may divide; daughters are new tracks that name their parent.
    compensate_drift : bool
        Take out what all cells do together.
    time_step_s : float
        Time between two time points, for speeds; 0 takes the run's clock.
    save_tracks : bool
        Write all cells of all images into one table, tracks.csv.
    """
    about, position = images[-1].metadata, images[-1].metadata["positionIndex"]
    frame = f"t{about['timeIndex']:05d}"
    known = _KNOWLEDGE.before(context.exportPath, context.state, position, frame)
    segmenter = _segmenter(method, model, gpu, threshold, manual_level, objects)
    bright = method == "cellpose" or objects == "bright"
    field = find_cells(images, segmenter, diameter_px(images, diameter_um), z_stack, bright)
    first_id = first_number(context.state, context.runState, frame)
    cells = follow_cells(
        images,
        without_small(field, min_area_um2),
        None if known is None else Memory.from_arrays(known),
        LinkSettings(max_step_um, gap_images, divisions, compensate_drift),
        _time_s(about, time_step_s),
        first_id,
    )
    _KNOWLEDGE.keep(context.exportPath, context.state, position, frame, cells.memory.to_arrays())
    keep_numbers(context.state, context.runState, first_id, cells.memory.population.next_id)
    context.log(cells.said)
    answer = {"segmentation": cells.labels, "timeseries": cells.series, "metadata": cells.summary}
    if field.labels.ndim == 3:
        answer["segmentation_stack"] = cells.volume
    return answer | ({"tracks": cells.table()} if save_tracks else {})


run_cell_population_tracking_async = twin_of(cell_population_tracking)


def _time_s(about, time_step_s):
    """When the image was taken, by the clock or by its number."""
    if time_step_s or about["elapsedTime_ms"] is None:
        return about["timeIndex"] * (time_step_s or 1.0)
    return about["elapsedTime_ms"] / 1e3


def _segmenter(method, model, gpu, threshold, manual_level, objects):
    """One for each choice; a network is loaded once."""
    if method == "cellpose":
        return cellpose_segmenter(model, gpu=gpu)
    return classical_segmenter(threshold, manual_level, objects)
