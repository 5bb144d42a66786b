"""Where the script library, the example experiments and the demo configurations are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["scripts", "configs", "mm_demo_config"]

_PACKAGE = Path(__file__).resolve().parent


def library_dir(kind: Kind) -> Path:
    """The folder of the installed library's ``kind``: inside the package, or next to it in a checkout."""
    bundled = _PACKAGE / "_bundled" / kind
    return bundled if bundled.is_dir() else _PACKAGE.parent / kind
