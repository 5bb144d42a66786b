"""Smart-microscopy scripts on every microscope that Micro-Manager drives.

>>> from inscoper_mm import load_experiment, run_experiment
>>> run_experiment(load_experiment("configs/minimal.yaml"))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inscoper_mm.acquisition.control import StopSwitch
    from inscoper_mm.acquisition.replay import replay_dataset
    from inscoper_mm.acquisition.result import RunResult
    from inscoper_mm.acquisition.session import run_experiment
    from inscoper_mm.experiment.load import load_experiment
    from inscoper_mm.experiment.model import Experiment
    from inscoper_mm.images.ndtiff import open_dataset

    __version__: str

__all__ = [
    "Experiment",
    "RunResult",
    "StopSwitch",
    "__version__",
    "load_experiment",
    "open_dataset",
    "replay_dataset",
    "run_experiment",
]

# Imported when somebody asks: the command line and the workers must start quickly.
_HOMES = {
    "Experiment": "experiment.model",
    "RunResult": "acquisition.result",
    "StopSwitch": "acquisition.control",
    "load_experiment": "experiment.load",
    "open_dataset": "images.ndtiff",
    "replay_dataset": "acquisition.replay",
    "run_experiment": "acquisition.session",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("inscoper-mm")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
