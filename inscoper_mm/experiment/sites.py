"""The fields of view of a plan: stage positions, grids and well plates, flattened into one list of sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inscoper_mm.images.frame import StagePosition

if TYPE_CHECKING:
    import useq


@dataclass(frozen=True, slots=True)
class Site:
    """One field of view.

    ``x_um``, ``y_um`` and ``z_um`` are stage coordinates, None: where the stage stands when the run starts.
    ``dx_um`` and ``dy_um`` are the field's place within a grid around them. ``number`` is that of the stage position
    (or well) that the field belongs to.
    """

    name: str
    number: int = 0
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    dx_um: float = 0.0
    dy_um: float = 0.0

    @property
    def moves_stage(self) -> bool:
        """Whether the plan sets x or y here."""
        return self.x_um is not None or self.y_um is not None or bool(self.dx_um or self.dy_um)

    def at(self, start: StagePosition) -> StagePosition:
        """The site's own coordinates, with what it leaves out taken from ``start``."""
        return StagePosition(
            _plus(self.x_um, start.x_um, self.dx_um),
            _plus(self.y_um, start.y_um, self.dy_um),
            _plus(self.z_um, start.z_um, 0.0),
        )


def sites_of(acquisition: useq.MDASequence) -> tuple[Site, ...]:
    """All fields of view in the order in which they are visited; one, at the start, where none are given.

    A site is named after its position (``Pos000`` where that has none), a grid field ``<position>_<field>``.
    """
    positions: Iterable[Any] = tuple(acquisition.stage_positions) or (None,)
    return tuple(
        site for number, position in enumerate(positions) for site in _sites_at(position, number, acquisition)
    )


def _sites_at(position: Any, number: int, acquisition: useq.MDASequence) -> Iterator[Site]:
    x_um, y_um, z_um, name = (getattr(position, key, None) for key in ("x", "y", "z", "name"))
    name = name or f"Pos{number:03d}"
    own = getattr(position, "sequence", None)
    grid: Any = (own.grid_plan if own is not None else None) or acquisition.grid_plan
    if grid is None:
        yield Site(name, number, _number(x_um), _number(y_um), _number(z_um))
        return
    for count, field in enumerate(grid):
        full = f"{name}_{field.name or f'{count:04d}'}"
        if grid.is_relative:
            yield Site(
                full, number, _number(x_um), _number(y_um), _number(z_um), float(field.x), float(field.y)
            )
        else:
            yield Site(full, number, float(field.x), float(field.y), _number(z_um))


def _number(value: Any) -> float | None:
    # Well plates give numpy numbers, which neither JSON nor YAML can write.
    return None if value is None else float(value)


def _plus(own: float | None, start: float | None, offset: float) -> float | None:
    base = start if own is None else own
    return None if base is None else base + offset
