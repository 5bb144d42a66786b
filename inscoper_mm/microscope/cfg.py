"""Micro-Manager configuration files: finding them, and reading them without a Core."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of, short_path
from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.cfg_lines import ConfigReader
from inscoper_mm.microscope.cfg_model import Affine, Config, Device, PixelSize, Preset, Setting

__all__ = [
    "Affine",
    "Config",
    "Device",
    "PixelSize",
    "Preset",
    "Setting",
    "demo_adapters",
    "demo_configs",
    "find_config",
    "read_config",
]

_DEMO_ADAPTERS = "mm_test_adapters"
# The configuration that comes with the demo adapters, under this name.
_STOCK_NAME, _STOCK_FILE = "demo", "MMConfig_demo.cfg"


def read_config(path: Path) -> Config:
    """Read a configuration file; what is wrong with its lines is in the result's ``findings``.

    Raises
    ------
    InvalidInput
        The file cannot be read.
    """
    file = short_path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(Finding(f"the file cannot be read: {error.strerror}.", file=file)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Older files have the micro and degree signs of the Windows code page.
        text = data.decode("cp1252", errors="replace")
    return ConfigReader(path, file).read(text)


def demo_adapters() -> Path:
    """The folder of the installed demo device adapters.

    Raises
    ------
    InvalidInput
        They are not installed.
    """
    spec = find_spec(_DEMO_ADAPTERS)
    if spec is None or spec.origin is None:
        cure = "Install them: pip install inscoper-mm[demo]."
        raise InvalidInput(Finding("the demo device adapters are not installed.", cure=cure))
    return Path(spec.origin).parent / "libs"


def demo_configs() -> dict[str, Path]:
    """The demo configurations by name: ``galvo`` ..., and ``demo``, which comes with the adapters."""
    found: dict[str, Path] = {}
    for path in sorted(library_dir("mm_demo_config").glob("*.cfg")):
        found[path.stem.removeprefix("demo_")] = path
    if find_spec(_DEMO_ADAPTERS) is not None:
        found[_STOCK_NAME] = demo_adapters() / _STOCK_FILE
    return found


def find_config(microscope: MicroscopeConfig) -> tuple[Path, Path]:
    """The configuration file of ``microscope`` and the folder of its device adapters.

    A name is looked up among the demo configurations (``demo`` backend) or in the Micro-Manager folder.

    Raises
    ------
    InvalidInput
        There is no such configuration, or no such folder.
    """
    if microscope.backend == "demo":
        return _demo_config(microscope.config), demo_adapters()
    folder = microscope.mm_dir or Path()
    if not folder.is_dir():
        message = "there is no such Micro-Manager folder."
        raise InvalidInput(Finding(message, field="microscope.mm_dir", got=str(folder)))
    path = Path(microscope.config)
    for candidate in (path, folder / path):
        if candidate.is_file():
            return candidate.resolve(), folder
    near = did_you_mean(path.name, [each.name for each in folder.glob("*.cfg")])
    raise InvalidInput(_no_config(microscope.config, near, "the path of a .cfg file"))


def _demo_config(config: str) -> Path:
    path = Path(config)
    if path.is_file():
        return path.resolve()
    known = demo_configs()
    name = path.stem.removeprefix("demo_") if path.name != _STOCK_FILE else _STOCK_NAME
    # Only a bare name stands for an installed configuration.
    if path.name == config and name in known:
        return known[name]
    raise InvalidInput(_no_config(config, did_you_mean(name, known), f"{one_of(known)}, or a path"))


def _no_config(got: str, suggestion: str | None, allowed: str) -> Finding:
    message = "there is no such configuration."
    return Finding(message, field="microscope.config", got=got, allowed=allowed, suggestion=suggestion)
