"""Where the script library, the example experiments and the demo configurations are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

Kind = Literal["scripts", "configs", "mm_demo_config"]

_PACKAGE = Path(__file__).resolve().parent


def library_dir(kind: Kind) -> Path:
    """The folder of the installed library's ``kind``: inside the package, or next to it in a checkout."""
    bundled = _PACKAGE / "_bundled" / kind
    return bundled if bundled.is_dir() else _PACKAGE.parent / kind


def library_scripts() -> dict[str, Path]:
    """The scripts of the library by name; files that begin with ``_`` are parts of others."""
    files = sorted(library_dir("scripts").glob("*.py"))
    return {file.stem: file for file in files if not file.name.startswith("_")}


def find_script(name_or_path: str) -> Path:
    """The file of a library script, or of a script given by its path.

    Raises
    ------
    InvalidInput
        If there is no such script.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path.resolve()
    scripts = library_scripts()
    name = path.name.removesuffix(".py")
    # Only a bare name stands for a script of the library.
    if path.name == name_or_path and name in scripts:
        return scripts[name]
    raise InvalidInput(
        Finding(
            "there is no such script.",
            got=name_or_path,
            allowed=f"{one_of(scripts)}, or the path of a script",
            suggestion=did_you_mean(name, scripts),
        )
    )
