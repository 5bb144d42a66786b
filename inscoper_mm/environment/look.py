"""Looks at everything at once: what takes time is asked in processes side by side."""

from __future__ import annotations

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import inscoper_mm
from inscoper_mm.environment import probe
from inscoper_mm.environment.asking import ProbeFailed, ask
from inscoper_mm.environment.cellpose_models import installed_cellpose
from inscoper_mm.environment.facts import Environment, Framework, Package
from inscoper_mm.environment.findings import findings_of
from inscoper_mm.environment.machine import output_folder, this_machine
from inscoper_mm.environment.micro_manager import installed_micro_manager
from inscoper_mm.environment.packages import first_installed, installed_packages, module_names

_PROBE = Path(probe.__file__)
_IMPORT_LIMIT_S = 30.0
_FRAMEWORK_LIMIT_S = 60.0
# One of these distributions brings the framework.
_FRAMEWORKS = {
    "torch": ("PyTorch", ("torch",)),
    "tensorflow": (
        "TensorFlow",
        ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos", "tensorflow-rocm"),
    ),
}


def look_at_environment(
    mm_dir: Path | None = None, output: Path | None = None, ask_frameworks: bool = True
) -> Environment:
    """Versions, graphics cards, models, Micro-Manager, memory and disk, with what is wrong and its cure.

    Parameters
    ----------
    mm_dir : Path, optional
        A Micro-Manager folder to look at, beside those that are found.
    output : Path, optional
        The folder that runs are written to; ``runs`` where left out.
    ask_frameworks : bool
        Import PyTorch and TensorFlow, where they are installed, to see their graphics cards: takes seconds.

    Returns
    -------
    Environment
    """
    packages = installed_packages()
    with ThreadPoolExecutor() as pool:
        torch = pool.submit(_framework, "torch", ask_frameworks)
        tensorflow = pool.submit(_framework, "tensorflow", ask_frameworks)
        micro_manager = pool.submit(installed_micro_manager, mm_dir)
        imported = pool.submit(_with_faults, packages)
        seen = Environment(
            inscoper_mm=inscoper_mm.__version__,
            python=platform.python_version(),
            executable=sys.executable,
            machine=this_machine(),
            packages=imported.result(),
            torch=torch.result(),
            tensorflow=tensorflow.result(),
            cellpose=installed_cellpose(),
            micro_manager=micro_manager.result(),
            output=output_folder(output or Path("runs")),
        )
    return replace(seen, findings=findings_of(seen))


def _framework(module: str, asked: bool) -> Framework:
    name, distributions = _FRAMEWORKS[module]
    version = first_installed(distributions)
    if version is None or not asked:
        return Framework(name, version)
    try:
        seen = ask(_PROBE, [module], _FRAMEWORK_LIMIT_S)
    except ProbeFailed as error:
        return Framework(name, version, asked=True, fault=str(error))
    return Framework(name, str(seen["version"]), tuple(seen["graphics"]), asked=True)


def _with_faults(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    """``packages`` with the reason where one that every run imports cannot be imported."""
    modules = module_names(packages)
    try:
        seen = _import_faults(list(modules))
    except ProbeFailed:
        # A library took the process with it: alone, each tells of itself.
        seen = dict(fault for module in modules for fault in _fault_alone(module).items())
    faults = {modules[module]: fault for module, fault in seen.items()}
    return tuple(replace(package, fault=faults.get(package.name)) for package in packages)


def _import_faults(modules: list[str]) -> dict[str, str]:
    return dict(ask(_PROBE, ["imports", *modules], _IMPORT_LIMIT_S))


def _fault_alone(module: str) -> dict[str, str]:
    try:
        return _import_faults([module])
    except ProbeFailed as error:
        return {module: str(error)}
