"""What is known about an environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from inscoper_mm.errors import Finding

Group = Literal["base", "demo", "more"]


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution.

    Attributes
    ----------
    name : str
    group : {"base", "demo", "more"}
        Needed by every run, by the demo devices, or by some scripts only.
    version : str or None
        None where it is not installed.
    wanted : str
        The versions that will do, such as ``>=1.26``; empty for any.
    fits : bool
        Whether ``version`` is one of them; True where it is not installed.
    fault : str or None
        Why it cannot be imported.
    """

    name: str
    group: Group
    version: str | None
    wanted: str = ""
    fits: bool = True
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Framework:
    """PyTorch or TensorFlow, as it is when it is imported.

    Attributes
    ----------
    name : str
    version : str or None
        None where it is not installed.
    graphics : tuple of str
        The graphics cards that it can compute on.
    asked : bool
        Whether it was imported; without that, ``graphics`` is empty.
    fault : str or None
        Why it cannot be imported.
    """

    name: str
    version: str | None
    graphics: tuple[str, ...] = ()
    asked: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A file with the weights of a network."""

    name: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Cellpose:
    """Cellpose, and the models that it finds without a download.

    ``shipped`` is the model that comes with this package, where this version of Cellpose can use it.
    """

    version: str | None
    folder: str
    models: tuple[Model, ...] = ()
    shipped: Model | None = None


@dataclass(frozen=True, slots=True)
class Adapters:
    """A folder with Micro-Manager's device adapters.

    Attributes
    ----------
    folder : str
    origin : str
        How the folder was found.
    libraries : int
        The number of device adapters in it.
    interface : int or None
        The number of their device interface; None where it could not be read.
    fault : str or None
        Why it could not be read.
    """

    folder: str
    origin: str
    libraries: int
    interface: int | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class MicroManager:
    """The Core, and the device adapters that were found for it."""

    pymmcore: str | None
    interface: int | None
    adapters: tuple[Adapters, ...] = ()

    @property
    def fitting(self) -> tuple[Adapters, ...]:
        """The folders whose device interface is that of the Core."""
        return tuple(
            each for each in self.adapters if each.interface is not None and each.interface == self.interface
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer. Memory is None where it could not be read."""

    system: str
    processor: str
    cores: int
    memory_bytes: int | None
    memory_free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Output:
    """The folder that runs are written to; ``folder`` is itself or the nearest one above that exists."""

    asked: str
    folder: str
    free_bytes: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything, with what is wrong in ``findings``."""

    inscoper_mm: str
    python: str
    executable: str
    machine: Machine
    packages: tuple[Package, ...]
    torch: Framework
    tensorflow: Framework
    cellpose: Cellpose
    micro_manager: MicroManager
    output: Output
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether experiments can run; warnings do not count."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        said = asdict(self)
        said["micro_manager"]["fits"] = bool(self.micro_manager.fitting)
        said["findings"] = [finding.to_dict() for finding in self.findings]
        return said | {"ok": self.ok}
