"""Tell what the Python environment of scripts has: versions, graphics card, models, Micro-Manager, memory and disk."""

from pathlib import Path
from typing import List, Literal, Optional

from inscoper_mm.environment import environment_lines, look_at_environment, missing_requirements

# It is called like a test, and is none: pytest leaves it alone.
__test__ = False


def fetch_images(new_image: "images"):
    """Ask for the first image of the run only: the environment stays the same.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    """
    first = all(
        new_image.metadata.get(f"{axis}Index", 0) == 0 for axis in ("time", "position", "channel", "focus")
    )
    return [{}] if first else []


def test_versions(
    images: "images",
    context: "IIS_CONTEXT",
    required: List[
        Literal[
            "TensorFlow",
            "PyTorch",
            "GPU",
            "Cellpose",
            "Cellpose models",
            "StarDist",
            "napari",
            "Micro-Manager",
        ]
    ] = (),
    mm_dir: Optional[Path] = None,
):
    """Print versions and what is wrong with them, from where scripts run; fail where something required is missing.

    Parameters
    ----------
    images : images
        Not looked at.
    context : IIS_CONTEXT
        Tells where the run is written to.
    required : list
        What must be there.
    mm_dir : Path, optional
        A Micro-Manager folder whose device adapters are asked whether they fit.
    """
    environment = look_at_environment(mm_dir, Path(context.exportPath))
    for line in environment_lines(environment):
        print(line)
    for finding in environment.findings:
        print(f"{finding.level}: {finding}")
    missing = missing_requirements(environment, required)
    if missing:
        raise RuntimeError(" ".join(str(finding) for finding in missing))
