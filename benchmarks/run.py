"""Runs the benchmarks; without a part's name all of them, and writes ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from page import stamped, with_part

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
# One module each, with ``section(options) -> str``, in the page's order. Those of the analysis name their peers'
# distributions in PACKAGES; a module that is not there is left out.
PARTS = (
    "loop",
    "stacks",
    "start",
    "long",
    "screening",
    "segmentation",
    "cellpose_times",
    "measurement",
    "tracking",
    "registration",
    "focus",
    "background",
    "regions",
)
_LOOP = frozenset({"loop", "stacks", "start", "long"})
_LOOP_PACKAGES = ("pycromanager", "pymmcore", "pymmcore-plus", "ome-writers", "ndstorage", "numpy")
_ANALYSIS_PACKAGES = ("numpy", "scipy", "scikit-image", "opencv-python-headless")


def main() -> None:
    """Parse the command line and measure."""
    parts = [part for part in PARTS if part in _LOOP or (HERE / f"{part}.py").is_file()]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=parts, help="left out: all, and write the page")
    parser.add_argument("--write", action="store_true", help="put the part into the page")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048], metavar="PX")
    parser.add_argument("--images", type=int, default=5000, help="of the long run")
    options = parser.parse_args()
    if options.part is None:
        _all(parts, sys.argv[1:])
        return
    section = measured(options.part, options)
    print(section, end="\n\n", flush=True)
    if options.write:
        page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        PAGE.write_text(with_part(page, options.part, section, PARTS), encoding="utf-8")
        print(f"Written: {options.part} in {PAGE}")


def measured(part: str, options: argparse.Namespace) -> str:
    """The text of one part, with what it was measured on."""
    if part in _LOOP:
        import loop_parts  # starts Micro-Manager's libraries: only where they are measured

        return stamped(getattr(loop_parts, part)(options), ("inscoper-mm", *_LOOP_PACKAGES))
    import interleave  # noqa: F401  (pins the libraries to one thread before they are loaded)

    module = importlib.import_module(part)
    peers = getattr(module, "PACKAGES", ())
    return stamped(module.section(options), ("inscoper-mm", *_ANALYSIS_PACKAGES, *peers))


def _all(parts: Sequence[str], arguments: Sequence[str]) -> None:
    """Each part in a process of its own: none inherits another one's threads, caches or Core."""
    failed = [
        part
        for part in parts
        if subprocess.run(
            [
                sys.executable,
                str(HERE / "run.py"),
                part,
                *arguments,
                *([] if "--write" in arguments else ["--write"]),
            ],
            check=False,
        ).returncode
    ]
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
