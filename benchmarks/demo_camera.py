"""The demo microscope with a camera that costs next to nothing itself, for every contestant the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mm_test_adapters

ADAPTERS = Path(mm_test_adapters.device_adapter_path())
CONFIG = Path(__file__).resolve().parent.parent / "mm_demo_config" / "demo_galvo.cfg"
EXPOSURE_MS = 10.0


def set_up(core: Any, side_px: int) -> None:
    """Make ``core``'s camera give square 16-bit images of ``side_px`` without rendering each one anew."""
    camera = core.getCameraDevice()
    settings = {
        "PixelType": "16bit",
        "OnCameraCCDXSize": side_px,
        "OnCameraCCDYSize": side_px,
        "FastImage": 1,
    }
    for name, value in settings.items():
        core.setProperty(camera, name, str(value))
    core.setExposure(EXPOSURE_MS)
    core.snapImage()
    shape = core.getImage().shape
    if shape != (side_px, side_px):
        raise RuntimeError(f"The demo camera gives {shape} instead of {side_px} x {side_px}.")
