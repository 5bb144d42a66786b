"""The scripts of a run: begun early, since loading takes seconds, and made into runners when the rest is ready."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.resources import spec_of
from inscoper_mm.acquisition.runner import START_LIMIT_S, ScriptRunner
from inscoper_mm.acquisition.services import Services
from inscoper_mm.execution.host import ScriptHost
from inscoper_mm.execution.places import make_host
from inscoper_mm.experiment.model import ScriptConfig
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.records import Logged
from inscoper_mm.scripting.spec import Resources
from inscoper_mm.stream import Stream


@dataclass(frozen=True, slots=True)
class Starting:
    """A script that is being loaded; ``seconds`` is what that took, or raises what is wrong with it."""

    config: ScriptConfig
    host: ScriptHost
    seconds: Future[float]

    @classmethod
    def begin(
        cls,
        script: ScriptConfig,
        resources: Resources,
        pool: ThreadPoolExecutor,
        stream: Stream,
        closing: Closing,
        stop: StopSwitch,
    ) -> Starting:
        """Begin to load ``script`` in ``pool``; ``closing`` gets the end of its place.

        Raises
        ------
        InvalidInput
            There is no such script.
        """

        def log(level: str, text: str, event: str | None) -> None:
            stream.publish(Logged(text, level, script.name, event))

        host = make_host(spec_of(script, resources), script.policy.place, log)
        closing.add(f"ending {script.name}", partial(host.close, 5.0))
        stop.when_now(partial(host.close, 1.0))
        return cls(script, host, pool.submit(host.start, START_LIMIT_S))

    def runner(self, services: Services, folder: RunFolder, several: bool, closing: Closing) -> ScriptRunner:
        """The script as the run uses it; it must have been loaded.

        Parameters
        ----------
        services : Services
        folder : RunFolder
        several : bool
            Whether it is one of several scripts: then it has a folder of its own.
        closing : Closing
        """
        script = self.config
        export_path = folder.export_path(script.name, several)
        seconds, facts = self.seconds.result(), self.host.facts
        policy = script.policy.for_script(facts is not None and facts.asynchronous)
        runner = ScriptRunner(script.name, self.host, policy, services, export_path)
        runner.begin(seconds)
        closing.add(f"stopping {script.name}", runner.close)
        return runner


def wait_for(scripts: Iterable[Starting]) -> None:
    """Wait until all are loaded and warm.

    Raises
    ------
    InvalidInput, ScriptFault
        What is wrong with the first that is not.
    """
    for script in scripts:
        script.seconds.result(START_LIMIT_S)


def give_up(scripts: Iterable[Starting]) -> None:
    """The run cannot begin: nobody wants to wait for a model now."""
    for script in scripts:
        script.host.close(1.0)
