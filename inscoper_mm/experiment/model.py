"""The experiment as frozen values: what to acquire, on which microscope, with which scripts and policies.

Nothing here reads a file or touches hardware; ``inscoper_mm.experiment.load`` makes these values from YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inscoper_mm.experiment.at_end import AtEnd
from inscoper_mm.experiment.autofocus import Autofocus
from inscoper_mm.experiment.corrections import CorrectionPolicy
from inscoper_mm.experiment.objectives import ObjectiveOffset
from inscoper_mm.experiment.photomanipulation import Photomanipulation
from inscoper_mm.experiment.safety import Safety

if TYPE_CHECKING:
    import useq

Backend = Literal["demo", "python"]
Slow = Literal["wait", "queue"]
OnError = Literal["abort", "skip", "disable"]
Place = Literal["worker", "thread"]
AfterRetries = Literal["skip_event", "abort"]
Late = Literal["shift"]
Bursts = Literal["none", "z_stack"]

DEFAULT_DEMO_CONFIG = "galvo"
DEFAULT_QUEUE = 4


@dataclass(frozen=True, slots=True)
class MicroscopeConfig:
    """The microscope to drive.

    Parameters
    ----------
    backend : {"demo", "python"}
        ``demo``: the demo devices of the installed test adapters; ``python``: a Micro-Manager installation.
    config : str
        Name of an installed demo configuration, or the absolute path of a ``.cfg``.
    mm_dir : Path, optional
        The folder of the Micro-Manager installation (``python`` only).
    specimen : mapping, optional
        Parameters of the virtual specimen behind the demo camera; None: the demo camera's own images.
    calibrations : tuple of Path
        Calibration files; each says for which camera and objective it holds.
    objectives : mapping of str to ObjectiveOffset
        Label or preset of an objective -> where its image lies against the others'.
    """

    backend: Backend = "demo"
    config: str = DEFAULT_DEMO_CONFIG
    mm_dir: Path | None = None
    specimen: Mapping[str, Any] | None = None
    calibrations: tuple[Path, ...] = ()
    objectives: Mapping[str, ObjectiveOffset] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens when a script is slow or fails, and where it runs.

    ``slow`` is None where the file leaves it out: then it depends on the script, see `for_script`. ``queue`` is the
    number of calls that may wait where ``slow`` is ``"queue"``; a full queue blocks the acquisition.
    """

    slow: Slow | None = None
    queue: int = DEFAULT_QUEUE
    error: OnError = "skip"
    limit_s: float = 60.0
    place: Place = "worker"

    def for_script(self, asynchronous: bool) -> Policy:
        """The policy with ``slow`` filled in: ``queue`` for an asynchronous script, ``wait`` for any other."""
        if self.slow is not None:
            return self
        return replace(self, slow="queue" if asynchronous else "wait")


@dataclass(frozen=True, slots=True)
class ScriptConfig:
    """One script of the experiment.

    ``file`` is a name of the script library or an absolute path; ``provider`` and ``process`` are None where
    the script's own names are to be found out; ``is_async`` is the file's key ``async``.
    """

    file: str
    name: str
    provider: str | None = None
    process: str | None = None
    is_async: bool = False
    provider_parameters: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class DeviceErrorPolicy:
    """How often a failed event is tried again, how long to wait before each, and what happens then."""

    retries: int = 3
    wait_s: float = 1.0
    then: AfterRetries = "abort"


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how a run is stored.

    Parameters
    ----------
    directory : str
        The folder that holds the run folders; relative to the working directory.
    answer_bytes : int
        Room for one script's values in the metadata of one image; what is larger goes to a file beside.
    file_bytes : int
        Largest size of one image file; a run that is larger goes on in another file.
    cache_bytes : int
        Memory for the last images; older ones are read back from the data set.
    """

    directory: str = "runs"
    answer_bytes: int = 1 << 20
    file_bytes: int = 1 << 30
    cache_bytes: int = 1 << 26


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that a run needs to know, as one value.

    ``acquisition`` is a `useq.MDASequence`; ``bursts`` says what may run as one hardware sequence; ``metadata`` is the
    user's own and only copied. ``source`` is the file that the experiment was read from; it does not take part in
    comparisons. ``lab_aliases`` are the names in ``aliases`` that come from the site's and the user's files: some
    may be for another microscope.
    """

    name: str
    acquisition: useq.MDASequence
    microscope: MicroscopeConfig = MicroscopeConfig()
    scripts: tuple[ScriptConfig, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    lab_aliases: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    safety: Safety = field(default_factory=Safety)
    corrections: CorrectionPolicy = field(default_factory=CorrectionPolicy)
    autofocus: Autofocus | None = None
    photomanipulation: Photomanipulation | None = None
    at_end: AtEnd = field(default_factory=AtEnd)
    device_error: DeviceErrorPolicy = DeviceErrorPolicy()
    late: Late = "shift"
    bursts: Bursts = "none"
    output: Output = Output()
    source: Path | None = field(default=None, compare=False)
