"""Runs whose waits are shortened: only where nothing but a virtual specimen lives through them."""

from __future__ import annotations

import math

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.model import Experiment

_FASTEST = 1e6


def check_speed(speed: float, experiment: Experiment) -> None:
    """Refuse to shorten the waits of an experiment with a real specimen.

    Raises
    ------
    InvalidInput
    """
    if not (math.isfinite(speed) and 1 <= speed <= _FASTEST):
        raise InvalidInput(
            Finding(
                "The speed is outside its limits.",
                parameter="--speed",
                got=f"{speed:g}",
                allowed=f"1 to {_FASTEST:g}",
            )
        )
    if speed != 1 and experiment.microscope.specimen is None:
        raise InvalidInput(
            Finding(
                "A real specimen has no speed: only the waits of a virtual one can be shortened.",
                file=str(experiment.source) if experiment.source else None,
                field="microscope.specimen",
                parameter="--speed",
                got=f"{speed:g}",
                cure="Leave --speed out, or set microscope.specimen, on the demo devices.",
            )
        )
