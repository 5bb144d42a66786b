"""Measures how pixels lie on the stage: moves the stage, and looks where the image goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.registration import Shift, find_shift
from inscoper_mm.errors import CalibrationFailed, InscoperError, LimitRefused
from inscoper_mm.microscope.geometry import Linear, orientation

Point = tuple[float, float]
Tell = Callable[[str], None]

# Two images of one place must correlate by this, else they hold mostly noise.
_LEAST_STRUCTURE = 0.4
# A move counts if its overlap with the first image correlates by this.
_LEAST_SCORE = 0.3
_MOST_DRIFT_PX = 2.0
_MOST_RESIDUAL_PX = 0.75
# The first moves are this share of the image where its pixel size is known, else this many um.
_FIRST_SHARE = 0.06
_FIRST_UM = 1.0
_MOST_PROBES = 16
# A fifth of the widest field: an image that has not moved by then does not follow, and the stage has an end somewhere.
_LONGEST_PROBE_UM = 5_000.0
# The coarse moves end at this share of the image, the fine ones go to these (dcol, drow) of its sides.
_COARSE_SHARE = 0.2
_FINE_SHARES: Sequence[Point] = (
    *((0.35, 0.0), (-0.35, 0.0), (0.0, 0.35), (0.0, -0.35)),
    *((0.25, 0.25), (-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25)),
)
_LEAST_MOVES = 6
# Where the limits are nearer, a move goes this part of the way; all together must spread this share of the image.
_PARTS = (1.0, 0.7, 0.5, 0.35, 0.25)
_LEAST_SPREAD = 0.05


class Bench(Protocol):
    """What the measurement needs of the microscope."""

    def snap(self) -> npt.NDArray[Any]:
        """Take an image (Y, X)."""
        ...

    def stage_um(self) -> Point:
        """(x, y) as the stage reports it."""
        ...

    def check(self, x_um: float, y_um: float) -> None:
        """Refuse (LimitRefused) a move that the safety limits do not allow; moves nothing."""
        ...

    def move(self, x_um: float, y_um: float) -> None:
        """Move within the safety limits (LimitRefused) and wait until the stage stands."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """One move from the start, as the stage reported it, and where the content of the image went."""

    x_um: float
    y_um: float
    shift: Shift


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a measurement.

    Parameters
    ----------
    affine_um : tuple of float
        ``(a, b, c, d)`` of `inscoper_mm.microscope.geometry`, for the pixels of the images that were taken.
    residual_px : float
        Root mean square of what the affine leaves unexplained.
    drift_px : float
        How far the content had moved when the stage was back at its start.
    moves : tuple of Move
        Those that were used.
    tried : int
        How many fine moves were made.
    image_shape : tuple of int
    """

    affine_um: Linear
    residual_px: float
    drift_px: float
    moves: tuple[Move, ...]
    tried: int
    image_shape: tuple[int, int]


def measure_pixel_stage(
    bench: Bench, pixel_size_um: float | None = None, tell: Tell = lambda line: None
) -> Measured:
    """Measure the map from pixels to the stage, around where the stage stands; it returns there.

    Parameters
    ----------
    bench : Bench
    pixel_size_um : float, optional
        What is believed; it only sets the first step.
    tell : callable
        Gets a line for each step.

    Raises
    ------
    CalibrationFailed
        If the images have no structure, the stage does not move, the image does not follow it, or no straight map
        describes what was seen.
    LimitRefused
        If the safety limits leave no room.
    """
    start = bench.stage_um()
    try:
        measured = _Measurement(bench, start, tell).run(pixel_size_um)
    except BaseException as error:
        try:
            _return(bench, start)
        except InscoperError as second:
            error.add_note(f"The stage could not return to where it had stood: {second}")
        raise
    _return(bench, start)
    return measured


def _return(bench: Bench, start: Point) -> None:
    """Go back to the start, in several steps where one is too large for the limits."""
    for steps in (1, 2, 4, 8):
        x_um, y_um = bench.stage_um()
        try:
            for step in range(1, steps + 1):
                part = step / steps
                bench.move(x_um + part * (start[0] - x_um), y_um + part * (start[1] - y_um))
        except LimitRefused:
            if steps == 8:
                raise
        else:
            return


class _Measurement:
    def __init__(self, bench: Bench, start: Point, tell: Tell) -> None:
        self._bench = bench
        self._start = start
        self._tell = tell
        first = bench.snap()
        self._shape: tuple[int, int] = (int(first.shape[0]), int(first.shape[1]))
        self._first = first
        self._refuse_structureless()

    def run(self, pixel_size_um: float | None) -> Measured:
        first_um = _FIRST_SHARE * min(self._shape) * pixel_size_um if pixel_size_um else _FIRST_UM
        probes = [self._probe(axis, first_um) for axis in ((1.0, 0.0), (0.0, 1.0))]
        coarse = _solve_two(*probes)
        words = orientation(coarse)
        self._tell(
            f"coarse: {words['pixel_size_um']:.4g} um a pixel, turned by {words['rotation_deg']:.1f} degrees"
        )
        targets = self._reachable(coarse)
        moves = [self._fine(coarse, target) for target in targets]
        _return(self._bench, self._start)
        back = self._look((0.0, 0.0))
        drift_px = math.hypot(back.drow_px, back.dcol_px)
        affine, residual_px, used = _fit(moves)
        if drift_px > _MOST_DRIFT_PX:
            raise CalibrationFailed(
                f"When the stage was back at its start, the image was {drift_px:.1f} px from where it had been. The "
                "stage does not return to its place, or the specimen drifts."
            )
        return Measured(affine, residual_px, drift_px, tuple(used), len(moves), self._shape)

    def _refuse_structureless(self) -> None:
        again = self._look((0.0, 0.0))
        if again.score < _LEAST_STRUCTURE:
            raise CalibrationFailed(
                f"The image has too little structure: two images of the same place agree by {again.score:.2f}, and "
                f"{_LEAST_STRUCTURE:g} is needed. Choose a specimen with many small details all over the field, focus, "
                "and give it more light or a longer exposure."
            )
        if math.hypot(again.drow_px, again.dcol_px) > _MOST_DRIFT_PX:
            raise CalibrationFailed(
                "The image moves while the stage stands: the specimen must be fixed, and the stage at rest."
            )

    def _look(self, near: Point) -> Shift:
        return find_shift(self._first, self._bench.snap(), near)

    def _go(self, dx_um: float, dy_um: float) -> Point:
        """Move to a distance from the start; returns the distance that the stage reports."""
        x0_um, y0_um = self._start
        self._bench.move(x0_um + dx_um, y0_um + dy_um)
        x_um, y_um = self._bench.stage_um()
        reached, wanted = (x_um - x0_um, y_um - y0_um), math.hypot(dx_um, dy_um)
        if math.hypot(*reached) < 0.5 * wanted:
            raise CalibrationFailed(
                f"The stage does not move: told to go {wanted:g} um from its start, it reports "
                f"{math.hypot(*reached):g} um."
            )
        return reached

    # -- coarse

    def _probe(self, axis: Point, first_um: float) -> Move:
        """Move along a stage axis, twice as far each time, until the image has moved by a share of its size."""
        step_um, near = first_um, (0.0, 0.0)
        best: Move | None = None
        for _ in range(_MOST_PROBES):
            try:
                move = self._step(axis, step_um, near)
            except LimitRefused:
                if best is None:
                    raise
                break
            if move.shift.score < _LEAST_SCORE:
                if best is not None:
                    break
                step_um /= 4  # so far that nothing of the first image is left
                continue
            best = move
            if _length_px(move) >= _COARSE_SHARE * min(self._shape) or 2 * step_um > _LONGEST_PROBE_UM:
                break
            step_um, near = 2 * step_um, (2 * move.shift.drow_px, 2 * move.shift.dcol_px)
        self._refuse_still(axis, best)
        _return(self._bench, self._start)
        assert best is not None
        self._tell(
            f"stage by ({best.x_um:+.4g}, {best.y_um:+.4g}) um: image by ({best.shift.drow_px:+.1f}, "
            f"{best.shift.dcol_px:+.1f}) px, agreement {best.shift.score:.2f}"
        )
        return best

    def _step(self, axis: Point, step_um: float, near: Point) -> Move:
        """One coarse move; where the limits are in the way, to the other side."""
        x0_um, y0_um = self._start
        side = 1.0
        try:
            self._bench.check(x0_um + axis[0] * step_um, y0_um + axis[1] * step_um)
        except LimitRefused:
            side = -1.0
        reached = self._go(side * axis[0] * step_um, side * axis[1] * step_um)
        shift = self._look((side * near[0], side * near[1]))
        if side < 0:
            # Told as if to the other side, so that the next step's guess has the right sign.
            shift = Shift(-shift.drow_px, -shift.dcol_px, shift.score)
            reached = (-reached[0], -reached[1])
        return Move(*reached, shift)

    def _refuse_still(self, axis: Point, best: Move | None) -> None:
        name = "x" if axis[0] else "y"
        if best is None:
            raise CalibrationFailed(
                f"After a move along {name}, nothing of the first image could be found again (agreement below "
                f"{_LEAST_SCORE:g}). The structures may be too uniform, or the stage moves much further than it says."
            )
        if _length_px(best) < 2.0:
            raise CalibrationFailed(
                f"The image does not follow the stage: after a move along {name} by "
                f"{math.hypot(best.x_um, best.y_um):g} um, which the stage reports as done, it lies "
                f"within {_length_px(best):.1f} px of where it was."
            )

    # -- fine

    def _reachable(self, coarse: Linear) -> list[Point]:
        """The fine moves' distances from the start in pixels: as large as the overlap and the limits allow."""
        height, width = self._shape
        targets = []
        for cols, rows in _FINE_SHARES:
            sizes = ((part * cols * width, part * rows * height) for part in _PARTS)
            targets += [next((size for size in sizes if self._is_allowed(coarse, size)), (0.0, 0.0))]
        targets = [target for target in targets if any(target)]
        if len(targets) < len(_FINE_SHARES):
            # Near a limit: shorter moves to the sides that are left.
            targets += [(dcol / 2, drow / 2) for dcol, drow in targets]
        targets = targets[: len(_FINE_SHARES)]
        spread = (
            np.linalg.svd(np.array(targets), compute_uv=False)[-1] if len(targets) >= _LEAST_MOVES else 0.0
        )
        if spread < _LEAST_SPREAD * min(self._shape) * math.sqrt(len(targets)):
            raise LimitRefused(
                "The safety limits leave no room around the stage's place: it must move by about a tenth of the image, "
                "at least to one side along each axis. Start elsewhere."
            )
        return targets

    def _is_allowed(self, coarse: Linear, target_px: Point) -> bool:
        dx_um, dy_um = _stage_move(coarse, target_px)
        try:
            self._bench.check(self._start[0] + dx_um, self._start[1] + dy_um)
        except LimitRefused:
            return False
        return True

    def _fine(self, coarse: Linear, target_px: Point) -> Move:
        if not self._is_allowed(coarse, target_px):
            # Allowed from the start, but too large a step from the last target.
            _return(self._bench, self._start)
        reached = self._go(*_stage_move(coarse, target_px))
        cols, rows = np.linalg.solve(-np.array(coarse).reshape(2, 2), reached)
        shift = self._look((float(rows), float(cols)))
        self._tell(
            f"stage by ({reached[0]:+.4g}, {reached[1]:+.4g}) um: image by ({shift.drow_px:+.2f}, "
            f"{shift.dcol_px:+.2f}) px, agreement {shift.score:.2f}"
        )
        return Move(*reached, shift)


def _length_px(move: Move) -> float:
    return math.hypot(move.shift.drow_px, move.shift.dcol_px)


def _stage_move(affine: Linear, target_px: Point) -> Point:
    """The move of the stage that moves the content by (dcol, drow) pixels."""
    a, b, c, d = affine
    dcol, drow = target_px
    return -(a * dcol + b * drow), -(c * dcol + d * drow)


def _solve_two(one: Move, other: Move) -> Linear:
    """The affine that two moves determine."""
    pixels = np.array([[move.shift.dcol_px, move.shift.drow_px] for move in (one, other)]).T
    stage = np.array([[move.x_um, move.y_um] for move in (one, other)]).T
    if abs(np.linalg.det(pixels)) < 0.1 * _length_px(one) * _length_px(other):
        raise CalibrationFailed("Moves along x and along y shift the image in nearly the same direction.")
    return _linear(-stage @ np.linalg.inv(pixels))


def _fit(moves: Sequence[Move]) -> tuple[Linear, float, list[Move]]:
    """The affine that describes the moves best in the sense of least squares, its residual, and the moves used."""
    used = [move for move in moves if move.shift.score >= _LEAST_SCORE]
    while len(used) >= _LEAST_MOVES:
        affine, errors_px = _least_squares(used)
        residual_px = float(np.sqrt(np.mean(errors_px**2)))
        if residual_px <= _MOST_RESIDUAL_PX:
            return affine, residual_px, used
        # One image that was matched to the wrong structures spoils all.
        used.pop(int(np.argmax(errors_px)))
    good = sum(move.shift.score >= _LEAST_SCORE for move in moves)
    if good < _LEAST_MOVES:
        raise CalibrationFailed(
            f"Only {good} of {len(moves)} images after a move could be matched to the first; {_LEAST_MOVES} are "
            "needed. Choose a place where the whole surroundings have structure."
        )
    raise CalibrationFailed(
        f"No straight map describes the moves: {residual_px:.1f} px are left unexplained, and at most "
        f"{_MOST_RESIDUAL_PX:g} may be. The stage may have backlash, or the structures may repeat."
    )


def _least_squares(moves: Sequence[Move]) -> tuple[Linear, npt.NDArray[np.float64]]:
    # The start is one measurement among others: its own error must not turn the map, so an offset is fitted, too.
    pixels = np.array([(0.0, 0.0), *((move.shift.dcol_px, move.shift.drow_px) for move in moves)])
    stage = np.array([(0.0, 0.0), *((move.x_um, move.y_um) for move in moves)])
    terms = np.column_stack([pixels, np.ones(len(pixels))])
    solution, *_ = np.linalg.lstsq(terms, stage, rcond=None)
    affine = -solution[:2].T
    errors_um = stage - terms @ solution
    errors_px = errors_um @ np.linalg.inv(affine).T
    return _linear(affine), np.hypot(*errors_px[1:].T)


def _linear(matrix: npt.NDArray[np.float64]) -> Linear:
    a, b, c, d = (float(value) for value in matrix.ravel())
    return a, b, c, d
