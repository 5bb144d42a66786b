"""The section ``autofocus`` of an experiment file: how the hardware autofocus is used, and what if it fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section, is_number

if TYPE_CHECKING:
    import useq

Mode = Literal["continuous", "once"]
Lost = Literal["continue", "skip_event", "abort"]

# The autofocus looks for the focus when one of these changes: time, position, channel.
_AXES = "tpc"
_WHENEVER_IT_ARRIVES = ("t", "p")
ABSOLUTE = "an absolute z plan goes where it says, whatever a hardware autofocus has found."
RELATIVE = "Give a z plan around the position, such as {range: 4, step: 1}."


@dataclass(frozen=True, slots=True)
class Autofocus:
    """How the hardware autofocus is used.

    Parameters
    ----------
    device : str or None
        The autofocus device; None: the Core's.
    mode : {"continuous", "once"}
        ``continuous``: it holds the focus all the time, but for z-stacks. ``once``: it looks for the focus when the run
        comes to a place, and is off while images are taken.
    axes : tuple of str
        For ``once``: it looks again where one of these axes (t, p, c) changes.
    offset_drive : str or None
        The drive that shifts what the autofocus holds; None: is found out.
    offset_start : float or None
        Where the offset stands at the start, in units of the device; None: where it is.
    offset_per_um : float
        How far the offset moves for 1 um of focus; negative where it goes the other way.
    lost : {"continue", "skip_event", "abort"}
        What becomes of an event without the autofocus, after ``retries`` further attempts.
    retries : int
    limit_s : float
        How long one attempt may take.
    settle_s : float
        How long to wait once the focus is held or found.
    """

    device: str | None = None
    mode: Mode = "continuous"
    axes: tuple[str, ...] = _WHENEVER_IT_ARRIVES
    offset_drive: str | None = None
    offset_start: float | None = None
    offset_per_um: float = 1.0
    lost: Lost = "continue"
    retries: int = 2
    limit_s: float = 10.0
    settle_s: float = 0.0


def read_autofocus(section: Section) -> Autofocus | None:
    """The section ``autofocus``; None without it."""
    if not section:
        return None
    default = Autofocus()
    autofocus = Autofocus(
        device=section.text("device"),
        mode=cast("Mode", section.choice("mode", ("continuous", "once"), default.mode)),
        axes=_axes(section),
        offset_drive=section.text("offset_drive"),
        offset_start=_number(section, "offset_start", None),
        offset_per_um=cast("float", _number(section, "offset_per_um", default.offset_per_um)),
        lost=cast("Lost", section.choice("lost", ("continue", "skip_event", "abort"), default.lost)),
        retries=section.integer("retries", default.retries, 0, 1000),
        limit_s=section.number("limit_s", default.limit_s, 0.0, above=True),
        settle_s=section.number("settle_s", default.settle_s, 0.0),
    )
    if autofocus.offset_per_um == 0:
        section.refuse("offset_per_um", "must not be 0.")
    if autofocus.mode == "continuous" and section.value("axes") is not None:
        section.refuse("axes", "is for 'mode: once': a continuous autofocus holds the focus all the time.")
    section.finish()
    return autofocus


def refuse_together(top: Section, autofocus: Autofocus | None, acquisition: useq.MDASequence | None) -> None:
    """Refuse what ``autofocus`` and ``acquisition`` do not allow each other."""
    if acquisition is None:
        return  # has findings of its own
    plan, z_plan = acquisition.autofocus_plan, acquisition.z_plan
    place = ("acquisition", "autofocus_plan") if plan is not None else ("autofocus",)
    if plan is not None and autofocus is not None and autofocus.mode == "continuous":
        message = "a continuous autofocus and an 'autofocus_plan' exclude each other."
        cure = "Give 'mode: once' in 'autofocus', or leave out the plan."
        top.findings.append(top.document.finding(place, message, cure=cure))
    if autofocus is not None and z_plan is not None and not z_plan.is_relative:
        top.findings.append(top.document.finding(place, ABSOLUTE, cure=RELATIVE))


def autofocus_of(section: Autofocus | None, acquisition: useq.MDASequence) -> Autofocus | None:
    """How the autofocus is used in a run: the section, and what the acquisition's own plan asks; None: not at all."""
    plan = acquisition.autofocus_plan
    if plan is None:
        return section
    return replace(
        section or Autofocus(),
        mode="once",
        axes=tuple(plan.axes),
        offset_drive=plan.autofocus_device_name or (section.offset_drive if section else None),
        offset_start=_first(plan.autofocus_motor_offset, section.offset_start if section else None),
    )


def dump_autofocus(autofocus: Autofocus) -> dict[str, Any]:
    """The values of the section."""
    values = asdict(autofocus) | {"axes": list(autofocus.axes) if autofocus.mode == "once" else None}
    return {key: value for key, value in values.items() if value is not None}


def wrong_axes(value: Any) -> str | None:
    """What is allowed where ``value`` is not a list of axes at which an autofocus may look for the focus."""
    if isinstance(value, list | tuple | str) and value and set(value) <= set(_AXES):
        return None
    return f"a list of {', '.join(_AXES)}"


def _axes(section: Section) -> tuple[str, ...]:
    value = section.value("axes")
    if value is None:
        return _WHENEVER_IT_ARRIVES
    allowed = wrong_axes(value)
    if allowed is not None:
        section.refuse(
            "axes", "are not axes at which the focus can be looked for.", got=shown(value), allowed=allowed
        )
        return _WHENEVER_IT_ARRIVES
    return tuple(value)


def _number(section: Section, key: str, default: float | None) -> float | None:
    value = section.value(key)
    if value is None:
        return default
    if not is_number(value) or abs(value) == float("inf") or value != value:
        section.refuse(key, "must be a number.", got=shown(value))
        return default
    return float(value)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
