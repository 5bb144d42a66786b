"""What is wrong with an environment, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inscoper_mm.environment.facts import Adapters, Environment, MicroManager, Package
from inscoper_mm.errors import Finding

_SPARE_DISK_BYTES = 5_000_000_000
_SPARE_MEMORY_BYTES = 2_000_000_000


def findings_of(seen: Environment) -> tuple[Finding, ...]:
    """Every fault, with its cure; warnings are what a run may do without."""
    return (
        *_of_packages(seen.packages),
        *_of_frameworks(seen),
        *_of_cellpose(seen),
        *_of_micro_manager(seen.micro_manager),
        *_of_machine(seen),
    )


def _of_packages(packages: Iterable[Package]) -> Iterator[Finding]:
    by_name = {package.name: package for package in packages}
    if not any(package.group == "base" for package in by_name.values()):
        yield Finding("inscoper-mm itself is not installed.", cure="Install it: pip install . in its folder.")
    for package in by_name.values():
        install = f'pip install "{package.name}{package.wanted}"'
        if package.group == "base" and package.version is None:
            yield Finding(f"{package.name} is not installed.", cure=f"Install it: {install}.")
        elif package.fault is not None:
            cure = (
                f"Install it anew: pip install --force-reinstall --no-deps {package.name}=={package.version}."
            )
            yield Finding(f"{package.name} cannot be imported.", got=package.fault, cure=cure)
        elif not package.fits:
            level = "error" if package.group == "base" else "warning"
            yield Finding(
                f"this version of {package.name} is not supported.",
                level=level,  # type: ignore[arg-type]
                got=str(package.version),
                allowed=package.wanted,
                cure=f"Install another one: {install}.",
            )
    both = [name for name in ("opencv-python", "opencv-python-headless") if _there(by_name, name)]
    if len(both) == 2:
        yield Finding(
            f"{' and '.join(both)} are both installed, and have the same files.",
            level="warning",
            cure="Remove both, then install opencv-python-headless again.",
        )


def _there(by_name: dict[str, Package], name: str) -> bool:
    return name in by_name and by_name[name].version is not None


def _of_frameworks(seen: Environment) -> Iterator[Finding]:
    for framework in (seen.torch, seen.tensorflow):
        if framework.fault is not None:
            yield Finding(
                f"{framework.name} {framework.version} is installed, but cannot be imported.",
                level="warning",
                got=framework.fault,
                cure="Scripts that use it will fail: install it anew, or remove it.",
            )


def _of_cellpose(seen: Environment) -> Iterator[Finding]:
    if seen.cellpose.version is not None and not seen.cellpose.models:
        shipped = seen.cellpose.shipped
        but = f" but {shipped.name}, which is for demonstrations" if shipped is not None else ""
        yield Finding(
            f"Cellpose has no models on this computer{but}; nothing is downloaded during a run.",
            level="warning",
            cure=f"Put model files into {seen.cellpose.folder}, or name a model by its path.",
        )


def _of_micro_manager(found: MicroManager) -> Iterator[Finding]:
    if not found.adapters:
        yield Finding(
            "no device adapters of Micro-Manager were found.",
            level="warning",
            cure="For the demo devices: pip install inscoper-mm[demo]. For a microscope, name its folder in "
            "microscope.mm_dir.",
        )
    for adapters in found.adapters:
        if adapters.interface is None:
            yield Finding(
                f"the device adapters in {adapters.folder} could not be asked for their interface.",
                level="error" if adapters.origin == "given" else "warning",
                got=adapters.fault,
            )
        elif found.interface is not None and adapters.interface != found.interface:
            yield _mismatch(found, adapters)


def _mismatch(found: MicroManager, adapters: Adapters) -> Finding:
    return Finding(
        f"pymmcore speaks device interface {found.interface}, the device adapters in {adapters.folder} speak "
        f"{adapters.interface}: they cannot be loaded.",
        # A folder that happens to be there may never be used.
        level="warning" if adapters.origin == "found" else "error",
        cure=f"Install the newest pymmcore whose fourth number is {adapters.interface} (pip index versions pymmcore).",
    )


def _of_machine(seen: Environment) -> Iterator[Finding]:
    output, memory = seen.output, seen.machine.memory_free_bytes
    if not output.writable:
        yield Finding(
            "runs cannot be written to this folder.",
            got=output.folder,
            cure="Choose another one in output.directory.",
        )
    if output.free_bytes < _SPARE_DISK_BYTES:
        yield Finding(
            f"{output.free_bytes / 1e9:.1f} GB are free for runs; an image of 2048 x 2048 pixels takes 8 MB.",
            level="warning",
            got=output.folder,
        )
    if memory is not None and memory < _SPARE_MEMORY_BYTES:
        yield Finding(
            f"{memory / 1e9:.1f} GB of memory are free.",
            level="warning",
            cure="Close other programs before a run.",
        )
