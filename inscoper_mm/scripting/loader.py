"""Loading a script: its functions are found, and everything that can be wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of
from inscoper_mm.scripting.context_use import check_context_use, context_names
from inscoper_mm.scripting.functions import Function, read_function, run, with_values
from inscoper_mm.scripting.image import Images
from inscoper_mm.scripting.importing import import_script
from inscoper_mm.scripting.preparing import read_prepare
from inscoper_mm.scripting.source import Source
from inscoper_mm.scripting.spec import Resources, ScriptSpec
from inscoper_mm.scripting.vocabulary import (
    DATA_PROCESSORS,
    DEFAULT_PROVIDER,
    IMAGES,
    PROCESSORS,
    is_twin_name,
    twin_name,
)

__all__ = ["Resources", "Script", "ScriptSpec", "load_script"]


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A loaded script: valid, with the user's values bound.

    ``process`` is what runs: the twin, where the entry asks for it. ``findings`` are warnings. ``context_names``
    are the names of the context that its text uses, with the first line of each.
    """

    spec: ScriptSpec
    module: ModuleType
    provider: Function
    process: Function
    twin: str | None = None
    processors: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    prepare: tuple[Callable[..., Any], Mapping[str, Any]] | None = None
    context_names: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The script's name in the run."""
        return self.spec.name

    @property
    def asynchronous(self) -> bool:
        """Whether the acquisition goes on while it runs."""
        return self.spec.use_async or self.process.is_async

    def provide(self, images: Images) -> Any:
        """Ask the image provider; its answer as it is."""
        return self.provider(images)

    def run(self, images: Images, context: Any) -> Any:
        """Call the processing function; its answer as it is."""
        return self.process(images, context)

    def warm_up(self) -> None:
        """Run the script's ``prepare``, if it has one, with those values that it takes."""
        if self.prepare is not None:
            function, values = self.prepare
            run(function, [], dict(values))


@dataclass(slots=True, eq=False)
class _Loading:
    spec: ScriptSpec
    module: ModuleType
    source: Source
    findings: list[Finding] = field(default_factory=list)

    @property
    def names(self) -> dict[str, Callable[..., Any]]:
        """The callables of the module, imported ones included."""
        return {name: item for name, item in vars(self.module).items() if callable(item)}

    @property
    def own(self) -> dict[str, Callable[..., Any]]:
        """The functions that this file defines."""
        return {name: self.names[name] for name in self.source.functions if name in self.names}

    def refuse(self, message: str, **fields: Any) -> None:
        self.findings.append(Finding(message, file=self.source.shown, **fields))

    def stop_if_wrong(self) -> None:
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            raise InvalidInput(self.findings)


def load_script(spec: ScriptSpec, values: bool = True) -> Script:
    """Load a script and check it.

    Parameters
    ----------
    spec : ScriptSpec
    values : bool
        False leaves the user's values out, to describe a script that needs some.

    Raises
    ------
    InvalidInput
        With every finding: file, line, function, parameter, got, allowed, did you mean.
    """
    module = import_script(spec.file)
    loading = _Loading(spec, module, Source.read(spec.file.resolve()))
    provider = _provider(loading)
    process = _process(loading)
    loading.stop_if_wrong()
    assert provider is not None and process is not None
    twin = twin_name(process.name) if twin_name(process.name) in loading.names else None
    if spec.use_async:
        process = _twin(loading, process)
    if values:
        provider = with_values(provider, spec.provider_parameters, spec.resources, "provider_parameters")
        process = with_values(process, spec.parameters, spec.resources, "parameters")
    loading.findings += [*provider.findings, *process.findings]
    uses = {process.name: process.names("context")} | _helpers(loading)
    loading.findings += check_context_use(loading.source, uses)
    processors = _processors(loading)
    prepare, findings = read_prepare(module, loading.source, process, values)
    loading.findings += findings
    loading.stop_if_wrong()
    used = context_names(loading.source, uses)
    return Script(spec, module, provider, process, twin, processors, tuple(loading.findings), prepare, used)


# -- the image provider


def _provider(loading: _Loading) -> Function | None:
    name = loading.spec.provider or DEFAULT_PROVIDER
    call = loading.names.get(name)
    if call is None:
        candidates = _provider_candidates(loading)
        loading.refuse(
            f"The script has no image provider '{name}'.",
            field="provider",
            allowed=one_of(candidates),
            suggestion=did_you_mean(name, candidates),
            cure=f"Define or import '{name}', or name another with 'provider:'.",
        )
        return None
    function = read_function(name, call, loading.source, provider=True)
    problems = []
    images = len(function.names("images"))
    if images != 1 and not function.findings:
        problems.append(f'An image provider has one parameter hinted "{IMAGES}"; this one has {images}.')
    if function.names("context"):
        problems.append("An image provider gets no context: it only chooses images.")
    if function.is_async:
        problems.append("An image provider cannot be 'async def': every image waits for its answer.")
    loading.findings += [function.at(Finding(problem)) for problem in problems]
    return function


def _provider_candidates(loading: _Loading) -> list[str]:
    public = {name: call for name, call in loading.names.items() if not name.startswith("_")}
    functions = {name: call for name, call in public.items() if hasattr(call, "__code__")}
    return [name for name, call in functions.items() if _takes_images(name, call, loading, provider=True)]


def _takes_images(name: str, call: Callable[..., Any], loading: _Loading, provider: bool = False) -> bool:
    return bool(read_function(name, call, loading.source, provider).names("images"))


# -- the processing function


def _process(loading: _Loading) -> Function | None:
    name = loading.spec.process
    candidates = _process_candidates(loading)
    if name is None and len(candidates) == 1:
        name = candidates[0]
    if name is None:
        count = "none" if not candidates else f"{len(candidates)}"
        loading.refuse(
            f'The script must have one public function with a parameter hinted "{IMAGES}" besides its provider; '
            f"it has {count}.",
            field="process",
            got=one_of(candidates) if candidates else None,
            cure="Name one with 'process:'."
            if candidates
            else f'Write: def process(images: "{IMAGES}"): ...',
        )
        return None
    call = loading.names.get(name)
    if call is None:
        loading.refuse(
            f"The script has no processing function '{name}'.",
            field="process",
            allowed=one_of(candidates),
            suggestion=did_you_mean(name, [*candidates, *loading.own]),
        )
        return None
    return _checked_process(loading, name, call)


def _process_candidates(loading: _Loading) -> list[str]:
    provider = loading.spec.provider or DEFAULT_PROVIDER
    return [
        name
        for name, call in loading.own.items()
        if not (name.startswith("_") or name == provider or is_twin_name(name))
        and _takes_images(name, call, loading)
    ]


def _checked_process(loading: _Loading, name: str, call: Callable[..., Any]) -> Function:
    function = read_function(name, call, loading.source)
    images = len(function.names("images"))
    if name == (loading.spec.provider or DEFAULT_PROVIDER):
        loading.refuse(
            f"'{name}' is the image provider; it cannot be the processing function too.", field="process"
        )
    elif images != 1 and not function.findings:
        message = f'A processing function has one parameter hinted "{IMAGES}"; this one has {images}.'
        loading.findings.append(function.at(Finding(message)))
    return function


def _twin(loading: _Loading, process: Function) -> Function:
    """The twin, where the entry says ``async: true``; an ``async def`` needs none."""
    name = twin_name(process.name)
    call = loading.names.get(name)
    if call is None:
        if not process.is_async:
            message = f"'async: true' needs the twin '{name}', or '{process.name}' as 'async def'."
            loading.findings.append(process.at(Finding(message, field="async")))
        return process
    twin = read_function(name, call, loading.source)
    ours, theirs = ({p.name: p.hint for p in function.parameters} for function in (process, twin))
    if not twin.findings and ours != theirs:
        message = f"The twin must have the parameters of '{process.name}', with the same hints."
        got, allowed = (", ".join(f"{n}: {h.text}" for n, h in hints.items()) for hints in (theirs, ours))
        loading.findings.append(twin.at(Finding(message, got=got, allowed=allowed)))
    return twin


def _helpers(loading: _Loading) -> dict[str, tuple[str, ...]]:
    """Other functions of the file with a parameter hinted as the context."""
    found = {}
    for name, call in loading.own.items():
        contexts = read_function(name, call, loading.source).names("context")
        if contexts:
            found[name] = contexts
    return found


# -- what it publishes


def _processors(loading: _Loading) -> tuple[str, ...]:
    declared = getattr(loading.module, DATA_PROCESSORS, ())
    if isinstance(declared, str):
        declared = (declared,)
    if not isinstance(declared, tuple | list) or not all(isinstance(name, str) for name in declared):
        loading.refuse(f"{DATA_PROCESSORS} must be names.", got=repr(declared), allowed=one_of(PROCESSORS))
        return ()
    for name in declared:
        near = did_you_mean(name, PROCESSORS)
        if name not in PROCESSORS and near:
            loading.refuse(
                f"{DATA_PROCESSORS} has the unknown name '{name}'; its values will be kept and shown generically.",
                level="warning",
                suggestion=near,
            )
    return tuple(declared)
