"""Scores of the Cell Tracking Challenge, by its Python implementation ``py-ctcmetrics`` (in the extra ``bench``)."""

from __future__ import annotations

import contextlib
import importlib
import io
from pathlib import Path

# What an error costs: a split, a missed and a false cell, a wrong, a missing and a mistaken edge.
PRICES = {"NS": 5.0, "FN": 10.0, "FP": 1.0, "ED": 1.0, "EA": 1.5, "EC": 1.0}


def ctc_scores(result: Path, truth: Path) -> dict[str, float]:
    """How well tracks match the truth, both in the challenge's format.

    Parameters
    ----------
    result : Path
        With ``mask000.tif`` ... and ``res_track.txt``.
    truth : Path
        With ``TRA/man_track000.tif`` ... and ``TRA/man_track.txt``.

    Returns
    -------
    dict
        ``TRA``, ``DET`` and ``LNK`` from 0 to 1 (all right), ``AOGM`` (the price of the mistakes), and how many there
        are of each kind of `PRICES`.

    Raises
    ------
    ValueError
        If the result is not in the challenge's format.
    """
    evaluate = importlib.import_module("ctc_metrics").evaluate_sequence
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        scores = evaluate(str(result), str(truth), ["Valid", "TRA", "DET", "LNK"], threads=1)
    if not scores["Valid"]:
        raise ValueError(f"{result} is no result of the Cell Tracking Challenge: {said.getvalue().strip()}")
    kinds = {kind: float(scores[f"AOGM_{kind}"]) for kind in PRICES}
    return {name: float(scores[name]) for name in ("TRA", "DET", "LNK", "AOGM")} | kinds
