"""The Core and the device adapters: do they speak the same device interface?"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inscoper_mm.environment.asking import ProbeFailed, ask
from inscoper_mm.environment.facts import Adapters, MicroManager
from inscoper_mm.environment.packages import installed_version
from inscoper_mm.errors import InvalidInput
from inscoper_mm.microscope import adapter_probe
from inscoper_mm.microscope.cfg import demo_adapters

_LIMIT_S = 20.0
# libmmgr_dal_DemoCamera.so.0, mmgr_dal_DemoCamera.dll, libmmgr_dal_DemoCamera
_LIBRARY = re.compile(r"(?:lib)?mmgr_dal_(?P<name>[^.]+)(?:\.dll|\.so(?:\.\d+)?)?")
# Adapters that talk to no hardware: only these are loaded to ask for the interface.
_HARMLESS = ("DemoCamera", "Utilities", "SequenceTester")
_USUAL_NAMES = "Micro-Manager*"


def installed_micro_manager(mm_dir: Path | None) -> MicroManager:
    """pymmcore, and the folders of device adapters: ``mm_dir``, the demo adapters, and the usual places."""
    folders = _folders(mm_dir)
    asked = {folder: _harmless(folder) for folder in folders}
    try:
        seen = ask(
            Path(adapter_probe.__file__), [str(file) for file in asked.values() if file is not None], _LIMIT_S
        )
    except ProbeFailed as error:
        seen = {"core": {"fault": str(error)}}
    adapters = tuple(_adapters(folder, origin, asked[folder], seen) for folder, origin in folders.items())
    version = installed_version("pymmcore")
    return MicroManager(version, seen["core"].get("interface", _interface_of(version)), adapters)


def _interface_of(version: str | None) -> int | None:
    """The device interface is the fourth part of pymmcore's version."""
    parts = (version or "").split(".")
    return int(parts[3]) if len(parts) > 3 and parts[3].isdigit() else None


def _folders(mm_dir: Path | None) -> dict[Path, str]:
    folders: dict[Path, str] = {}
    if mm_dir is not None:
        folders[mm_dir] = "given"
    with contextlib.suppress(InvalidInput):  # not installed
        folders.setdefault(demo_adapters(), "mm-test-adapters")
    for folder in _usual_places():
        folders.setdefault(folder, "found")
    return folders


def _usual_places(environ: Mapping[str, str] = os.environ) -> Iterable[Path]:
    if sys.platform == "win32":
        roots = [environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)")]
    elif sys.platform == "darwin":
        roots = ["/Applications", str(Path.home())]
    else:
        roots = ["/opt", "/usr/local/lib", "/usr/lib"]
    found = (folder for root in roots if root for folder in sorted(Path(root).glob(_USUAL_NAMES)))
    return [folder for folder in found if _libraries(folder)]


def _libraries(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    matched = ((path, _LIBRARY.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return {match["name"]: path for path, match in matched if match}


def _harmless(folder: Path) -> Path | None:
    libraries = _libraries(folder)
    return next((libraries[name] for name in _HARMLESS if name in libraries), None)


def _adapters(folder: Path, origin: str, asked: Path | None, seen: Mapping[str, Any]) -> Adapters:
    libraries = len(_libraries(folder))
    if asked is None:
        fault = (
            "none of them is a demo adapter that could be asked"
            if libraries
            else "no device adapter is in it"
        )
        return Adapters(str(folder), origin, libraries, fault=fault)
    answer = seen.get(str(asked), {"fault": seen["core"].get("fault", "no answer")})
    return Adapters(str(folder), origin, libraries, answer.get("interface"), answer.get("fault"))
