"""How a script says when not to trust what it found."""

from __future__ import annotations

from inscoper_mm.scripting.vocabulary import METADATA, WARNINGS


def warned(*warnings: str) -> dict[str, dict[str, list[str]]]:
    """What a processing function merges into its answer; nothing without warnings.

    Parameters
    ----------
    warnings : str
        Each a short fixed phrase, a colon, the numbers, and what to do: ``"no focus: all slices are alike; nothing is
        moved"``. They are counted by phrase.
    """
    return {METADATA: {WARNINGS: list(warnings)}} if warnings else {}
