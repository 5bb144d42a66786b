"""Loading a script."""

from __future__ import annotations

from inscoper_mm.scripting.spec import Resources, ScriptSpec

__all__ = ["Resources", "ScriptSpec"]
