"""Draws docs/images/cell_population_tracking.png: tracks over an image, with and without drift, and the series."""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from demo_run import DemoRun, save, stretched

from inscoper_mm.images.index import Index

NAME = "cell_population_tracking"
LAST = 23
MINUTES = 5


def main() -> None:
    """Run the example, and draw its first position."""
    run = DemoRun.of(NAME)
    tracks = _tracks(run)
    figure, axes = plt.subplots(1, 4, figsize=(17, 4.3), width_ratios=(1.25, 1.25, 1, 1))
    _draw_tracks(axes[0], run, tracks, corrected=False)
    _draw_tracks(axes[1], run, tracks, corrected=True)
    axes[0].set_title("places on the stage: drift, and a jump", fontsize=10)
    axes[1].set_title("free of drift; dots: divisions", fontsize=10)
    series = _series(run)
    minutes = MINUTES * np.arange(LAST + 1)
    axes[2].plot(minutes, series["cells"], color="#1f77b4", marker=".")
    axes[2].set(xlabel="time [min]", ylabel="cells", ylim=(0, None))
    other = axes[2].twinx()
    other.plot(minutes, series["median_speed"], color="#e8602c", marker=".")
    other.set(ylim=(0, 1))
    other.set_ylabel("median speed [µm/min]", color="#e8602c")
    _draw_displacement(axes[3], minutes, series["msd_since_first"])
    figure.tight_layout()
    save(figure, NAME)


def _draw_displacement(panel: Any, minutes: np.ndarray, found: np.ndarray) -> None:
    """The mean squared displacement, and that of a persistent random walk that meets nobody."""
    speed, persistence = 0.5, 20.0
    walk = 2 * speed**2 * persistence * (minutes - persistence * (1 - np.exp(-minutes / persistence)))
    panel.plot(minutes, found, color="#1f77b4", marker=".", label="cells followed since the first image")
    panel.plot(
        minutes, walk, color="grey", linestyle=":", label="as told to the specimen, without collisions"
    )
    panel.set(xlabel="time [min]", ylabel="mean squared displacement [µm²]")
    panel.legend(fontsize=8, loc="lower right")


def _draw_tracks(panel: Any, run: DemoRun, tracks: dict[int, list[dict[str, str]]], corrected: bool) -> None:
    image = run.images[Index(LAST, 0, 0, 0)][0]
    panel.imshow(image, **stretched(image))
    colours = plt.get_cmap("hsv")
    drift = _drift(run)
    for number, rows in tracks.items():
        places = np.array([[float(row["row_px"]), float(row["col_px"])] for row in rows])
        if corrected:
            # Where it would be in the last image without drift; the specimen's x runs along the columns.
            moved = drift[LAST] - drift[[int(row["time"]) for row in rows]]
            places = places + moved[:, ::-1]
        founder = int(rows[0]["parent_id"]) or number
        colour = colours((founder * 0.618) % 1)
        panel.plot(places[:, 1], places[:, 0], color=colour, linewidth=1.1)
        if int(rows[0]["parent_id"]):
            panel.plot(places[0, 1], places[0, 0], "o", color=colour, markersize=3)
    panel.set(xticks=[], yticks=[], xlim=(0, 511), ylim=(511, 0))


def _tracks(run: DemoRun) -> dict[int, list[dict[str, str]]]:
    """The rows of the first position by track."""
    found = defaultdict(list)
    with (run.folder / "tracks.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["position"] == "0":
                found[int(row["track_id"])].append(row)
    return found


def _drift(run: DemoRun) -> np.ndarray:
    """(T, 2): x and y."""
    return np.array([run.answers[Index(time, 0, 0, 0)]["DRIFT_UM"] for time in range(LAST + 1)])


def _series(run: DemoRun) -> dict[str, np.ndarray]:
    found = defaultdict(list)
    with (run.folder / "results" / NAME / "timeseries.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if "_p000_" in row["frame"]:
                found[row["name"]].append(float(row["value"] or "nan"))
    return {name: np.array(values) for name, values in found.items()}


if __name__ == "__main__":
    main()
