"""Fluorescence recovery after photobleaching: from the brightness of regions to curves that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.recovery_fit import Floats, Model, Recovery, fit_recovery
from inscoper_mm.errors import Finding, InvalidInput

# With less of the cell left after the fire, small errors of the background become large ones of the result.
LEAST_LEFT = 0.25


def double_normalised(
    fired: npt.ArrayLike,
    cell: npt.ArrayLike,
    background: npt.ArrayLike,
    before: npt.ArrayLike,
    fired_background: npt.ArrayLike | None = None,
) -> Floats:
    """The light of the fired region as a share of what the whole cell has left, 1 before the fire.

    Parameters
    ----------
    fired, cell, background : (N,) array
        Mean brightness in each image: of the fired region, of the whole cell **with** the fired region, and of a place
        without cells.
    before : (N,) bool
        The images before the fire.
    fired_background : (N,) array, optional
        The background in the fired region, where it is not even.

    Returns
    -------
    (N,) float64

    Raises
    ------
    InvalidInput
        Different lengths, no image before the fire, or a cell that is not brighter than the background.

    Notes
    -----
    ``(F - B) / mean(F - B) * mean(C - B) / (C - B)``, B being the background and the means those before the fire
    (Phair, Gorski and Misteli 2004, doi:10.1016/S0076-6879(03)75025-3). Dividing by the whole cell takes away two
    losses at once: bleaching by imaging, and the molecules that the fire itself has taken out of the cell. Without the
    latter, a cell in which everything moves would seem to recover only to the share of its light that the fire has
    left. The rest of the cell is no substitute: it gets darker as what is bleached moves into it.
    """
    curves = (fired, cell, background, background if fired_background is None else fired_background)
    wanted, whole, base, own_base = (np.asarray(values, float) for values in curves)
    first = np.asarray(before, bool)
    if wanted.ndim != 1 or not all(each.shape == wanted.shape for each in (whole, base, own_base, first)):
        raise InvalidInput(
            _finding("the curves must be one-dimensional and equally long", "fired, cell, background, before")
        )
    if not first.any():
        raise InvalidInput(_finding("there is no image before the fire", "before"))
    wanted, whole = wanted - own_base, whole - base
    if not (whole > 0).all() or not wanted[first].mean() > 0:
        raise InvalidInput(
            _finding("the cell is not brighter than the background in all images", "cell", float(whole.min()))
        )
    return np.asarray(wanted / wanted[first].mean() * whole[first].mean() / whole)


def recovery_of(
    time_s: npt.ArrayLike,
    measured: Mapping[str, npt.ArrayLike],
    before: npt.ArrayLike,
    model: Model = "exponential",
) -> tuple[Floats, Recovery]:
    """The double-normalised curve of one cell, and what it says.

    Parameters
    ----------
    time_s : (N,) array
        Times of the images since the end of the fire.
    measured : mapping
        ``fired``, ``cell``, ``background`` and ``fired_background``, (N,) each, see `frap_areas.brightness`.
    before : (N,) bool
        The images before the fire.
    model : {"exponential", "diffusion"}

    Raises
    ------
    InvalidInput
        As `double_normalised` and `fit_recovery`.
    """
    fired, cell, background, under = (
        measured[name] for name in ("fired", "cell", "background", "fired_background")
    )
    values = double_normalised(fired, cell, background, before, under)
    recovery = fit_recovery(time_s, values, model, before)
    first = np.asarray(before, bool)
    whole = np.asarray(cell, float) - np.asarray(background, float)
    left = float(whole[~first].max() / whole[first].mean()) if not first.all() else 1.0
    if not recovery.reason and left < LEAST_LEFT:
        reason = (
            f"the fire has left only {100 * left:.0f} % of the cell's light: too little to come back from"
        )
        recovery = Recovery(model=model, reason=reason)
    return values, recovery


def refuse_late_fire(fire_at: int, time_points: int) -> None:
    """Refuse to fire where no image would follow.

    Raises
    ------
    InvalidInput
        If the time point to fire at is the last one, or none.
    """
    if fire_at >= time_points - 1:
        raise InvalidInput(
            Finding(
                f"there are {time_points} time points, and none after the fire: nothing could be fitted.",
                parameter="fire_at",
                got=str(fire_at),
                allowed=f"0 to {time_points - 2}" if time_points > 1 else None,
                cure="Fire earlier, or take more time points.",
            )
        )


def fire_ends_s(fired: Mapping[str, Any], counts: Sequence[int], otherwise_s: float) -> list[float]:
    """When the fire of each region ended, by the clock of the images: they were fired at one after the other.

    Parameters
    ----------
    fired : mapping
        What ``fireOnDemand`` has returned.
    counts : sequence of int
        In how many pieces each region was fired at.
    otherwise_s : float
        For all of them, where ``fired`` has no times: without a fire, also in a replay of images taken without one.
    """
    if "elapsedTime_ms" not in fired:
        return [otherwise_s] * len(counts)
    light_ms = iter([each["time_ms"] for each in fired["regions"]])
    done = np.cumsum([sum(next(light_ms) for _ in range(count)) for count in counts])
    lasted_s = fired["end_s"] - fired["begin_s"]
    ends_s: list[float] = (fired["elapsedTime_ms"] / 1e3 - lasted_s * (1 - done / done[-1])).tolist()
    return ends_s


def average(recoveries: Sequence[Recovery]) -> dict[str, float | int | None]:
    """Mean and its standard error, from the scatter of the cells, of the curves that were not refused.

    Returns
    -------
    dict
        ``cells``, ``mobile_fraction``, ``mobile_fraction_sem``, ``half_time_s``, ``half_time_sem_s``; None where there
        is no curve, or for the errors only one.
    """
    numbers = [(each.mobile_fraction, each.half_time_s) for each in recoveries if not each.reason]
    found = np.array(numbers, float).reshape(-1, 2)
    means = found.mean(axis=0).tolist() if len(found) else [None, None]
    sems = (found.std(axis=0, ddof=1) / np.sqrt(len(found))).tolist() if len(found) > 1 else [None, None]
    return {
        "cells": len(found),
        "mobile_fraction": means[0],
        "mobile_fraction_sem": sems[0],
        "half_time_s": means[1],
        "half_time_sem_s": sems[1],
    }


def _finding(message: str, parameter: str, got: object = None) -> Finding:
    return Finding(f"{message}.", parameter=parameter, got=None if got is None else str(got))
