"""The section ``acquisition`` of an experiment file: a useq sequence, as far as a run obeys it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.autofocus import ABSOLUTE, RELATIVE, wrong_axes
from inscoper_mm.experiment.document import KeyPath, shown
from inscoper_mm.experiment.plates import wells_named
from inscoper_mm.experiment.positions import read_position_list
from inscoper_mm.experiment.reader import Section
from inscoper_mm.experiment.sections import absolute
from inscoper_mm.experiment.sites import sites_of
from inscoper_mm.experiment.useq_values import ValueReader

if TYPE_CHECKING:
    import useq

AXES = "tpgcz"
_AXIS_OF = {"time_plan": "t", "stage_positions": "p", "grid_plan": "g", "channels": "c", "z_plan": "z"}
MOST_IMAGES = 10_000_000
_MOST_SLICES = 100_000
_WELLS = "all, or a list of wells such as [A1, B3, C1-D6]"
_NOT_YET = {
    "setup": "Set properties in the microscope's start-up preset.",
    "keep_shutter_open_across": None,
}


def read_acquisition(section: Section) -> useq.MDASequence | None:
    """The acquisition, or None where the section has mistakes."""
    return _Acquisition(section).read()


class _Acquisition:
    """Reads one section ``acquisition``."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.values = ValueReader(section.document, section.findings)

    def read(self) -> useq.MDASequence | None:
        import useq

        section, before = self.section, len(self.section.findings)
        if not section:
            section.refuse(None, "'acquisition' is missing.", cure="It says what to acquire.")
            return None
        order = self._axis_order()
        parts: dict[str, Any] = {
            "channels": self._channels(),
            "stage_positions": self._positions(),
            "grid_plan": self._grid(self._path("grid_plan"), section.value("grid_plan")),
            "z_plan": self._z_plan(),
            "time_plan": self._time_plan(),
            "autofocus_plan": self._autofocus_plan(),
        }
        for key, cure in _NOT_YET.items():
            section.not_yet(key, cure=cure)
        if section.value("metadata"):
            cure = "Put it in 'metadata' at the top of the file."
            section.refuse("metadata", "an acquisition has no metadata of its own.", cure=cure)
        section.finish()
        if len(section.findings) == before:
            self._together(order, parts)
        if len(section.findings) > before:
            return None
        given = {key: value for key, value in parts.items() if value}
        with warnings.catch_warnings():
            # Said of combinations that are refused here, or that the plan handles.
            warnings.simplefilter("ignore")
            sequence = useq.MDASequence(axis_order=order, **given)
        return sequence if self._countable(sequence) else None

    def _path(self, key: str) -> KeyPath:
        return (*self.section.path, key)

    def _axis_order(self) -> tuple[str, ...]:
        raw = self.section.value("axis_order")
        if raw is None:
            return tuple(AXES)
        letters = [str(axis).lower() for axis in raw] if isinstance(raw, str | list) else [""]
        if len(set(letters)) < len(letters) or not set(letters) <= set(AXES):
            allowed = f"each of the letters {', '.join(AXES)} at most once"
            self.section.refuse("axis_order", "is no order of axes.", got=shown(raw), allowed=allowed)
            return tuple(AXES)
        return tuple(letters)

    def _channels(self) -> tuple[Any, ...]:
        import useq

        raw = ((path, {"config": item} if isinstance(item, str) else item) for path, item in self._items())
        return tuple(self.values.read(path, item, (useq.Channel,)) for path, item in raw)

    def _items(self, key: str = "channels") -> list[tuple[KeyPath, Any]]:
        return list(self.section.items(key))

    def _positions(self) -> Any:
        raw = self.section.value("stage_positions")
        if not isinstance(raw, Mapping):
            return tuple(self._position(path, item) for path, item in self._items("stage_positions"))
        if "file" in raw:
            return self._position_file()
        return self._well_plate(self._path("stage_positions"), raw)

    def _position_file(self) -> tuple[Any, ...]:
        inner = self.section.section("stage_positions")
        file = inner.text("file") or ""
        inner.finish()
        try:
            return read_position_list(absolute(file, self.section.document.folder)) if file else ()
        except InvalidInput as error:
            self.section.findings.extend(error.findings)
            inner.refuse("file", "the position list cannot be used.", got=file)
            return ()

    def _position(self, path: KeyPath, raw: Any) -> Any:
        import useq

        if isinstance(raw, list):
            if not 2 <= len(raw) <= 3:
                self.values.refuse(path, "is no position.", got=shown(raw), allowed="[x, y] or [x, y, z]")
                return None
            raw = dict(zip("xyz", raw, strict=False))
        if not isinstance(raw, Mapping) or raw.get("sequence") is None:
            return self.values.read(path, raw, (useq.Position,))
        grid = self._sub_grid((*path, "sequence"), raw)
        if grid is None:
            return None
        return self.values.read(path, raw, (useq.Position,), sequence=useq.MDASequence(grid_plan=grid))

    def _sub_grid(self, path: KeyPath, position: Mapping[str, Any]) -> Any:
        """The grid of one position; it is all that a position's own sequence may have."""
        raw = position["sequence"]
        if not isinstance(raw, Mapping) or set(raw) - {"grid_plan"} or not raw.get("grid_plan"):
            message = "a position's own sequence is not available yet, except for its grid_plan."
            self.values.refuse(path, message, got=shown(raw), allowed="{grid_plan: {...}}")
            return None
        grid = self._grid((*path, "grid_plan"), raw["grid_plan"])
        if grid is not None and not grid.is_relative and {"x", "y"} & set(position):
            self.values.refuse(path, "an absolute grid sets x and y itself: leave them out of the position.")
        return grid

    def _grid(self, path: KeyPath, raw: Any, absolute: bool = True) -> Any:
        """A grid of fields; None without one."""
        import useq

        if raw is None:
            return None
        models: tuple[Any, ...] = (useq.GridRowsColumns, useq.GridWidthHeight, useq.RandomPoints)
        if absolute:
            models += (useq.GridFromEdges, useq.GridFromPolygon)
        grid = self.values.read(path, raw, models)
        if grid is None:
            return None
        before = len(self.section.findings)
        if isinstance(grid, useq.RandomPoints):
            if grid.random_seed is None:
                cure = "Add one, so that the plan is the same each time it is made."
                self.values.refuse(path, "'random_seed' is missing.", cure=cure)
            if not isinstance(grid.start_at, int):
                self.values.refuse((*path, "start_at"), "must be the number of a point.")
        else:
            self._field_of_view(path, grid)
        return grid if len(self.section.findings) == before else None

    def _field_of_view(self, path: KeyPath, grid: Any) -> None:
        for key in ("fov_width", "fov_height"):
            size_um = getattr(grid, key)
            if size_um is None or size_um <= 0:
                cure = "Give the width and height of your images in micrometres."
                message = f"'{key}' is missing." if size_um is None else "must be above 0."
                self.values.refuse((*path, key), message, cure=cure)
        if not all(0 <= share < 100 for share in grid.overlap):
            got = shown(grid.overlap)
            self.values.refuse(
                (*path, "overlap"), "is no overlap.", got=got, allowed="0 to below 100 percent"
            )

    def _well_plate(self, path: KeyPath, raw: Mapping[str, Any]) -> Any:
        import useq

        given: dict[str, Any] = {}
        if isinstance(raw.get("plate"), Mapping):
            given["plate"] = self.values.read((*path, "plate"), raw["plate"], (useq.WellPlate,))
        points = raw.get("well_points_plan")
        if isinstance(points, Mapping) and not set(points) <= {"x", "y", "name"}:
            given["well_points_plan"] = self._grid((*path, "well_points_plan"), points, absolute=False)
        elif points is not None:
            where = (*path, "well_points_plan")
            given["well_points_plan"] = self.values.read(where, points, (useq.RelativePosition,))
        if _is_by_name(raw.get("selected_wells")):
            given["selected_wells"] = self._wells(path, raw, given.get("plate"))
        if any(value is None for value in given.values()):
            return ()
        plate = self.values.read(path, raw, (useq.WellPlatePlan,), **given)
        if plate is not None and not len(plate):
            allowed = f"{_WELLS}, or [[rows], [columns]], each from 0"
            self.values.refuse((*path, "selected_wells"), "no well is selected.", allowed=allowed)
        return plate

    def _wells(self, path: KeyPath, raw: Mapping[str, Any], plate: Any) -> Any:
        """``selected_wells`` by name, as ([rows], [columns]); None with a finding."""
        import useq

        try:
            plate = plate or useq.WellPlate.from_str(str(raw.get("plate")))
        except (ValueError, KeyError):
            return ((0,), (0,))  # told when the plate is read
        try:
            wells = wells_named(raw["selected_wells"], plate.rows, plate.columns)
        except ValueError as error:
            where = (*path, "selected_wells")
            self.values.refuse(where, "no such well.", got=str(error), allowed=_WELLS)
            return None
        return tuple(zip(*wells, strict=True))

    def _z_plan(self) -> Any:
        import useq

        raw, path = self.section.value("z_plan"), self._path("z_plan")
        if raw is None:
            return None
        models = (
            *(useq.ZTopBottom, useq.ZAboveBelow, useq.ZRangeAround),
            *(useq.ZAbsolutePositions, useq.ZRelativePositions),
        )
        plan = self.values.read(path, raw, models)
        if plan is None:
            return None
        if getattr(plan, "step", 1) <= 0:
            self.values.refuse((*path, "step"), "must be above 0.", got=shown(plan.step))
        elif not 1 <= plan.num_positions() <= _MOST_SLICES:
            count = max(plan.num_positions(), 0)
            allowed = f"1 to {_MOST_SLICES:,}"
            self.values.refuse(path, f"the z plan has {count:,} slices.", got=shown(raw), allowed=allowed)
        return plan

    def _time_plan(self) -> Any:
        import useq

        raw, path = self.section.value("time_plan"), self._path("time_plan")
        if raw is None:
            return None
        if isinstance(raw, Mapping) and "phases" in raw:
            inner = self.section.section("time_plan")
            phases = [self._phase(where, item) for where, item in inner.items("phases")]
            inner.finish()
        elif isinstance(raw, list):
            phases = [self._phase((*path, number), item) for number, item in enumerate(raw)]
        else:
            return self._phase(path, raw)
        if not phases:
            self.values.refuse(path, "the time plan has no phases.")
        return useq.MultiPhaseTimePlan(phases=phases) if phases and None not in phases else None

    def _phase(self, path: KeyPath, raw: Any) -> Any:
        import useq

        models = (useq.TIntervalLoops, useq.TDurationLoops, useq.TIntervalDuration)
        phase = self.values.read(path, raw, models)
        if isinstance(phase, useq.TDurationLoops) and phase.loops < 2:
            self.values.refuse((*path, "loops"), "must be at least 2 where 'duration' is given.")
            return None
        if isinstance(phase, useq.TIntervalDuration) and not phase.interval:
            self.values.refuse((*path, "interval"), "must be above 0 where 'duration' is given.")
            return None
        return phase

    def _autofocus_plan(self) -> Any:
        import useq

        raw, path = self.section.value("autofocus_plan"), self._path("autofocus_plan")
        if raw is None:
            return None
        allowed = wrong_axes(raw.get("axes")) if isinstance(raw, Mapping) else None
        if allowed is not None:
            got = shown(raw.get("axes"))
            self.values.refuse(
                (*path, "axes"), "the focus cannot be looked for there.", got=got, allowed=allowed
            )
            return None
        given = {"axes": tuple(raw["axes"])} if isinstance(raw, Mapping) else {}
        return self.values.read(path, raw, (useq.AxesBasedAF,), **given)

    def _together(self, order: tuple[str, ...], parts: Mapping[str, Any]) -> None:
        """What is wrong with parts that are right by themselves."""
        letters = "".join(order)
        for key, axis in _AXIS_OF.items():
            if parts[key] and axis not in order:
                message = f"'{key}' is given, but its axis '{axis}' is not in axis_order."
                self.section.refuse("axis_order", message, got=shown(letters))
        grid, positions = parts["grid_plan"], parts["stage_positions"]
        if grid and positions and ("p", "g") not in pairwise(order):
            message = "the fields of a grid are visited position by position: 'g' must follow 'p'."
            self.section.refuse("axis_order", message, got=shown(letters))
        plate = bool(positions) and not isinstance(positions, tuple)
        if grid and plate:
            cure = "Use the plate's well_points_plan."
            self.section.refuse("grid_plan", "a well plate cannot have a grid besides.", cure=cure)
        elif grid and not grid.is_relative:
            self._refuse_coordinates(positions, ("x", "y"), "the grid plan is absolute and sets")
        z_plan = parts["z_plan"]
        if z_plan and not z_plan.is_relative and parts["autofocus_plan"]:
            self.section.refuse("autofocus_plan", ABSOLUTE, cure=RELATIVE)
        if z_plan and not z_plan.is_relative and not plate:
            self._refuse_coordinates(positions, ("z",), "the z plan is absolute and sets")

    def _refuse_coordinates(self, positions: Any, keys: tuple[str, ...], reason: str) -> None:
        for number, position in enumerate(positions):
            if any(getattr(position, key) is not None for key in keys):
                names = " and ".join(keys)
                message = f"{reason} {names} itself: leave {names} out of the position."
                self.values.refuse((*self._path("stage_positions"), number), message)

    def _countable(self, sequence: useq.MDASequence) -> bool:
        """Whether the plan can be made: useq expands grids and times only now."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                images = _count(sequence)
                sites = sites_of(sequence) if images <= MOST_IMAGES else ()
        except (ValueError, ArithmeticError, UserWarning) as error:
            self.section.refuse(None, f"the plan cannot be made: {error}.")
            return False
        if images > MOST_IMAGES or not sites:
            message = f"the plan has {images:,} images."
            self.section.refuse(None, message, allowed=f"1 to {MOST_IMAGES:,}")
            return False
        names = Counter(site.name for site in sites)
        for name in [name for name, count in names.items() if count > 1]:
            self.section.refuse("stage_positions", f"{names[name]} positions are called '{name}'.")
        return max(names.values()) == 1


def _is_by_name(selection: object) -> bool:
    """Whether wells are given by name, not by their rows and columns."""
    return isinstance(selection, str) or (
        isinstance(selection, list) and any(isinstance(name, str) for name in selection)
    )


def _count(sequence: useq.MDASequence) -> int:
    """At most how many images the plan has, without expanding it."""
    times = sequence.time_plan.num_timepoints() if sequence.time_plan else 1
    slices = sequence.z_plan.num_positions() if sequence.z_plan else 1
    fields = 0
    for position in sequence.stage_positions or (None,):
        own = getattr(position, "sequence", None)
        grid: Any = (own.grid_plan if own is not None else None) or sequence.grid_plan
        fields += grid.num_positions() if grid else 1
    return int(times * slices * fields * max(len(sequence.channels), 1))
