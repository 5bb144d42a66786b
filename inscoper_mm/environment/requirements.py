"""What a lab may ask for beyond what every run needs, and how to get it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from inscoper_mm.environment.facts import Environment, Framework
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of


@dataclass(frozen=True, slots=True)
class _Requirement:
    met: Callable[[Environment], bool]
    cure: str


def _usable(framework: Framework) -> bool:
    return framework.version is not None and framework.fault is None


def _installed(name: str) -> Callable[[Environment], bool]:
    return lambda seen: any(each.name == name and each.version for each in seen.packages)


_TABLE: Mapping[str, _Requirement] = {
    "TensorFlow": _Requirement(lambda seen: _usable(seen.tensorflow), "pip install tensorflow"),
    "PyTorch": _Requirement(lambda seen: _usable(seen.torch), "pip install torch"),
    "GPU": _Requirement(
        lambda seen: bool(seen.torch.graphics or seen.tensorflow.graphics),
        "install the card's driver and a PyTorch that was built for it (pytorch.org tells which)",
    ),
    "Cellpose": _Requirement(lambda seen: seen.cellpose.version is not None, "pip install cellpose"),
    "Cellpose models": _Requirement(
        lambda seen: bool(seen.cellpose.models),
        "put model files into the folder that CELLPOSE_LOCAL_MODELS_PATH names, or into .cellpose/models in your "
        "home folder",
    ),
    "StarDist": _Requirement(_installed("stardist"), "pip install stardist tensorflow"),
    "napari": _Requirement(_installed("napari"), 'pip install "napari[all]"'),
    "Micro-Manager": _Requirement(
        lambda seen: bool(seen.micro_manager.fitting),
        "pip install inscoper-mm[demo], or the pymmcore that fits your Micro-Manager",
    ),
}

REQUIREMENTS = tuple(_TABLE)
"""The names that may be required."""


def known_requirements(names: Iterable[str]) -> tuple[str, ...]:
    """``names``, each once.

    Raises
    ------
    InvalidInput
        There is no requirement of that name.
    """
    asked = tuple(dict.fromkeys(names))
    unknown = [name for name in asked if name not in _TABLE]
    if unknown:
        raise InvalidInput(
            Finding(
                "there is no such requirement.",
                got=name,
                allowed=one_of(REQUIREMENTS),
                suggestion=did_you_mean(name, REQUIREMENTS),
            )
            for name in unknown
        )
    return asked


def missing_requirements(seen: Environment, names: Iterable[str]) -> tuple[Finding, ...]:
    """What of ``names`` is missing, each with what to install.

    Raises
    ------
    InvalidInput
        There is no requirement of that name.
    """
    return tuple(
        Finding(f"{name} is required, and missing.", cure=f"To get it: {_TABLE[name].cure}.")
        for name in known_requirements(names)
        if not _TABLE[name].met(seen)
    )
