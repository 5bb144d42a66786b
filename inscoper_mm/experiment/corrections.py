"""The section ``corrections`` of an experiment file: how far the lasting corrections of scripts are followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section, is_number

# With a gain of 2 or more, a script that measures what is left to do swings ever farther around the right place.
_GAIN_BELOW = 2.0
_NONE = "none"


@dataclass(frozen=True, slots=True)
class CorrectionRule:
    """What is made of the corrections of one kind.

    Parameters
    ----------
    dead_band_um : float
        A correction shorter than this is ignored.
    gain : float
        The others are multiplied by it, above 0 and below 2.
    largest_step_um : float or None
        What is longer then is shortened to this; None: nothing is.
    largest_total_um : float or None
        A correction that would make the total of a position longer than this is refused; None: none is.
    decay : float
        The share of the total that is lost at each time point without a new correction, from 0 to below 1.
    """

    dead_band_um: float = 0.0
    gain: float = 1.0
    largest_step_um: float | None = None
    largest_total_um: float | None = None
    decay: float = 0.0


# A script with the wrong sign doubles its error with each image: it must end before the objective meets the glass.
STAGE_RULE = CorrectionRule(largest_total_um=2000.0)
FOCUS_RULE = CorrectionRule(largest_total_um=100.0)


@dataclass(frozen=True, slots=True)
class CorrectionPolicy:
    """The rules for the stage (the length of the vector counts) and for the focus."""

    stage: CorrectionRule = STAGE_RULE
    focus: CorrectionRule = FOCUS_RULE


def read_corrections(section: Section) -> CorrectionPolicy:
    """The section ``corrections``."""
    policy = CorrectionPolicy(
        _rule(section.section("stage"), STAGE_RULE), _rule(section.section("focus"), FOCUS_RULE)
    )
    section.finish()
    return policy


def dump_corrections(policy: CorrectionPolicy) -> dict[str, Any]:
    """The policy as the section's values."""
    rules: Mapping[str, CorrectionRule] = {"stage": policy.stage, "focus": policy.focus}
    return {
        name: {key: _NONE if value is None else value for key, value in asdict(rule).items()}
        for name, rule in rules.items()
    }


def _rule(section: Section, default: CorrectionRule) -> CorrectionRule:
    rule = CorrectionRule(
        section.number("dead_band_um", default.dead_band_um, 0.0),
        _between(section, "gain", default.gain, _GAIN_BELOW),
        _largest(section, "largest_step_um", default.largest_step_um),
        _largest(section, "largest_total_um", default.largest_total_um),
        _between(section, "decay", default.decay, 1.0, zero=True),
    )
    if rule.largest_step_um is not None and rule.dead_band_um > rule.largest_step_um:
        message = "is above 'largest_step_um': no correction would be between the two."
        section.refuse("dead_band_um", message, got=shown(rule.dead_band_um))
    section.finish()
    return rule


def _between(section: Section, key: str, default: float, below: float, zero: bool = False) -> float:
    """A number above 0 (or, with ``zero``, at least 0) and below ``below``."""
    value = section.value(key)
    if value is None:
        return default
    if not is_number(value) or not 0 <= value < below or (value == 0 and not zero):
        allowed = f"a number {'of at least' if zero else 'above'} 0 and below {below:g}"
        section.refuse(key, "is not a possible value.", got=shown(value), allowed=allowed)
        return default
    return float(value)


def _largest(section: Section, key: str, default: float | None) -> float | None:
    """A length above 0, or ``none``."""
    value = section.value(key)
    if value is None:
        return default
    if value == _NONE:
        return None
    if not is_number(value) or not 0 < value < float("inf"):
        allowed = f"a number of micrometres above 0, or {_NONE}"
        section.refuse(key, "is not a possible value.", got=shown(value), allowed=allowed)
        return default
    return float(value)
