"""From the image that the engine delivers to the frame that scripts and writer get."""

from __future__ import annotations

from dataclasses import replace

from inscoper_mm.acquisition.engine import RawImage
from inscoper_mm.acquisition.live import Live
from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.microscope.geometry import CameraView
from inscoper_mm.records import Captured


def develop(event: PlannedEvent, raw: RawImage, view: CameraView, live: Live, begin_s: float) -> Frame:
    """The image of ``event`` with everything that is known about it.

    Parameters
    ----------
    event : PlannedEvent
    raw : RawImage
    view : CameraView
        How the camera looked at the stage.
    live : Live
    begin_s : float
        When the run began, on its clock.
    """
    shift = live.objectives.shift(event.objective)
    real = raw.exposed.position
    info = FrameInfo(
        event_id=event.id,
        index=event.index,
        sizes=event.sizes,
        channel_name=event.channel,
        position_name=event.position_name,
        planned=event.planned,
        real=real,
        exposure_ms=float(raw.tags.get("Exposure", event.exposure_ms or 0.0)),
        pixel_size_um=view.pixel_size_um,
        elapsed_ms=(raw.exposed.end_s - begin_s) * 1e3,
        camera=view.camera,
        binning=view.binning,
        bit_depth=int(live.microscope.core.getImageBitDepth()),
        exposure_end_s=raw.exposed.end_s,
        arrived_s=raw.arrived_s,
        pixel_to_stage_um=view.pixel_to_stage_um(_minus(real, shift.x_um, shift.y_um)),
        roi_px=view.roi_px,
        sensor_px=view.sensor_px,
        geometry_problem=view.problem,
        home_um=event.home_um,
        belongs_to=event.belongs_to,
        added_by=event.added_by,
        label=event.label,
        objective=event.objective,
        tags=raw.tags,
    )
    return Frame(info, raw.pixels)


def captured(frame: Frame) -> Captured:
    """The record of ``frame``."""
    info = frame.info
    return Captured(
        info.event_id,
        info.index.to_dict(),
        round(info.exposure_end_s, 6),
        round(info.arrived_s, 6),
        {"x": info.real.x_um, "y": info.real.y_um, "z": info.real.z_um},
    )


def _minus(place: StagePosition, dx_um: float, dy_um: float) -> StagePosition:
    """``place`` as the plan's objective sees it: what another one needs to be centred is no move on the specimen."""
    if not (dx_um or dy_um) or place.x_um is None or place.y_um is None:
        return place
    return StagePosition(place.x_um - dx_um, place.y_um - dy_um, place.z_um)


def at_height(raw: RawImage, z_um: float) -> RawImage:
    """An image of a burst: its height is the one that the drive was given, since it cannot be asked meanwhile."""
    position = replace(raw.exposed.position, z_um=z_um)
    return replace(raw, exposed=replace(raw.exposed, position=position))
