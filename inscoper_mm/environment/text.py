"""An environment in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from inscoper_mm.environment.facts import Adapters, Environment, Framework, MicroManager, Package

_ABSENT = "not installed"
_WIDTH = 24


def environment_lines(seen: Environment) -> tuple[str, ...]:
    """Every fact in a line of its own, under headings; findings are not among them."""
    return (
        f"inscoper-mm {seen.inscoper_mm}, Python {seen.python}",
        _row("Python", seen.executable),
        *_machine(seen),
        *_packages(seen),
        *_networks(seen),
        *_micro_manager(seen.micro_manager),
    )


def _row(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}}{value}"


def _gb(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.1f} GB"


def _machine(seen: Environment) -> Iterator[str]:
    machine, output = seen.machine, seen.output
    yield "Machine"
    yield _row("System", machine.system)
    yield _row("Processor", f"{machine.processor}, {machine.cores} cores")
    yield _row("Memory", f"{_gb(machine.memory_bytes)}, {_gb(machine.memory_free_bytes)} free")
    state = "" if output.writable else ", cannot be written to"
    yield _row("Disk for runs", f"{_gb(output.free_bytes)} free in {output.folder}{state}")


def _packages(seen: Environment) -> Iterator[str]:
    yield "Packages"
    for package in seen.packages:
        if package.group != "more" or package.version is not None or package.name == "napari":
            yield _row(package.name, _version(package))


def _version(package: Package) -> str:
    if package.version is None:
        return _ABSENT
    if package.fault is not None:
        return f"{package.version}, cannot be imported: {package.fault}"
    return package.version if package.fits else f"{package.version}, wanted: {package.wanted}"


def _networks(seen: Environment) -> Iterator[str]:
    yield "Neural networks"
    for framework in (seen.tensorflow, seen.torch):
        yield _row(framework.name, _framework(framework))
    cellpose = seen.cellpose
    yield _row("Cellpose", cellpose.version or _ABSENT)
    yield _row("Cellpose models", f"{len(cellpose.models) or 'none'} in {cellpose.folder}")
    for model in cellpose.models:
        yield _row("", f"{model.name}, {model.bytes / 1e6:.1f} MB")
    if cellpose.shipped is not None:
        size = f"{cellpose.shipped.bytes / 1e6:.1f} MB"
        yield _row("", f"{cellpose.shipped.name}, {size}, of inscoper-mm: for demonstrations and tests")


def _framework(framework: Framework) -> str:
    if framework.version is None:
        return _ABSENT
    if framework.fault is not None:
        return f"{framework.version}, cannot be imported: {framework.fault}"
    if not framework.asked:
        return f"{framework.version}, not asked for graphics cards"
    return f"{framework.version}, {'; '.join(framework.graphics) or 'no graphics card that it can use'}"


def _micro_manager(found: MicroManager) -> Iterator[str]:
    yield "Micro-Manager"
    core = _ABSENT if found.pymmcore is None else f"{found.pymmcore}, device interface {found.interface}"
    yield _row("Core (pymmcore)", core)
    if not found.adapters:
        yield _row("Device adapters", "none found")
    for adapters in found.adapters:
        yield _row("Device adapters", f"{_fits(found, adapters)} in {adapters.folder} ({adapters.origin})")


def _fits(found: MicroManager, adapters: Adapters) -> str:
    count = f"{adapters.libraries} adapter{'' if adapters.libraries == 1 else 's'}"
    if adapters.interface is None:
        return f"{count}, interface unknown"
    verdict = "fits" if adapters.interface == found.interface else "does NOT fit"
    return f"{count}, device interface {adapters.interface}, {verdict},"
