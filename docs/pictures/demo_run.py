"""Runs an example experiment for the pictures of the documentation, and gives its images and results."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.library import library_dir

PICTURES = Path(__file__).resolve().parent.parent / "images"


@dataclass(frozen=True)
class DemoRun:
    """A finished run on the demo devices."""

    folder: Path

    @classmethod
    def of(cls, config: str, *changes: str) -> DemoRun:
        """Run ``configs/<config>.yaml`` into a temporary folder, with the true cells written beside the images."""
        output = Path(tempfile.mkdtemp(prefix="inscoper_mm_picture_"))
        command = [
            sys.executable,
            "-m",
            "inscoper_mm.cli",
            "run",
            str(library_dir("configs") / f"{config}.yaml"),
        ]
        for change in ("microscope.specimen.write_truth=true", *changes):
            command += ["--set", change]
        subprocess.run([*command, "--output", str(output)], check=True)
        (folder,) = output.iterdir()
        return cls(folder)

    @cached_property
    def images(self) -> dict[Index, tuple[npt.NDArray[Any], dict[str, Any]]]:
        """Pixels and metadata by index."""
        folder = self.folder / "images"
        return {index: read_entry(folder, entry) for index, entry in read_index(folder).items()}

    @property
    def answers(self) -> dict[Index, dict[str, Any]]:
        """The values that the script gave for each image."""
        text = (self.folder / "results" / "metadata.jsonl").read_text(encoding="utf-8")
        return {Index(**line["index"]): line["values"] for line in map(json.loads, text.splitlines())}

    def result(self, script: str, processor: str, index: Index) -> npt.NDArray[Any]:
        """A published picture of an image."""
        return np.asarray(tifffile.imread(self.folder / f"results/{script}/{processor}/{index.stem}.tif"))


def stretched(pixels: npt.NDArray[Any]) -> dict[str, Any]:
    """Arguments for ``imshow``: grey, from the 1st to the 99.8th percentile."""
    low, high = np.percentile(pixels, (1, 99.8))
    return {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}


def save(figure: Any, name: str) -> None:
    """Write a figure to ``docs/images/<name>.png``."""
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{name}.png", dpi=110, bbox_inches="tight", facecolor="white")
