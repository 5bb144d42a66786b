"""The sections of an experiment file other than the acquisition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, cast

from inscoper_mm.experiment.document import KeyPath, shown
from inscoper_mm.experiment.model import (
    DEFAULT_DEMO_CONFIG,
    DEFAULT_QUEUE,
    AfterRetries,
    Backend,
    DeviceErrorPolicy,
    MicroscopeConfig,
    OnError,
    Output,
    Place,
    Policy,
    ScriptConfig,
    Slow,
)
from inscoper_mm.experiment.objectives import read_objectives
from inscoper_mm.experiment.reader import Section
from inscoper_mm.library import library_dir

# Documented values that are not built yet, by key.
LATER = {
    "backend": ("java",),
    "slow": ("latest", "skip"),
    "place": ("dask",),
    "then": ("skip_position", "pause"),
    "late": ("skip_time_point", "catch_up"),
}
_LARGEST_ANSWER = 1 << 24


def read_microscope(section: Section) -> MicroscopeConfig:
    """The section ``microscope``."""
    if not section:
        cure = "Add 'microscope: {backend: demo}' for the demo devices."
        section.refuse(None, "'microscope' is missing.", cure=cure)
    backend = cast("Backend", section.choice("backend", ("demo", "python"), "demo", LATER["backend"]))
    config = section.text("config", DEFAULT_DEMO_CONFIG if backend == "demo" else None) or ""
    mm_dir = section.text("mm_dir")
    specimen = section.free("specimen") if section.value("specimen") is not None else None
    if backend == "python":
        _need_installation(section, config, mm_dir, specimen)
    elif mm_dir is not None:
        section.refuse("mm_dir", "the demo devices are not part of a Micro-Manager installation.")
    folder = section.document.folder
    calibrations = _paths(section, "calibrations", folder)
    objectives = read_objectives(section.section("objectives"))
    section.finish()
    return MicroscopeConfig(
        backend,
        _config_path(config, folder),
        absolute(mm_dir, folder) if mm_dir else None,
        specimen,
        calibrations,
        objectives,
    )


def _paths(section: Section, key: str, folder: Path) -> tuple[Path, ...]:
    """The files of the list under ``key``."""
    found = []
    for path, item in section.items(key):
        if isinstance(item, str) and item.strip():
            found.append(_given_or_installed(item, folder))
        else:
            section.findings.append(section.document.finding(path, "must be a file's path.", got=shown(item)))
    return tuple(found)


def _given_or_installed(item: str, folder: Path) -> Path:
    """A path; the name of a file that is not in ``folder`` may be one that comes with the demo configurations."""
    path = absolute(item, folder)
    if PurePath(item).name == item and "\\" not in item and not path.exists():
        installed = library_dir("mm_demo_config") / item
        return installed if installed.is_file() else path
    return path


def _need_installation(section: Section, config: str, mm_dir: str | None, specimen: object) -> None:
    if section and not config:
        section.need("config", "It is the path of your microscope's .cfg file.")
    if section and mm_dir is None:
        section.need("mm_dir", "It is the folder of your Micro-Manager installation.")
    if specimen is not None:
        section.refuse("specimen", "the virtual specimen only stands behind the demo devices.")


def read_scripts(top: Section) -> tuple[ScriptConfig, ...]:
    """The sections ``script`` and ``scripts``, in order."""
    if top.value("script") is not None and top.value("scripts") is not None:
        top.refuse("script", "give 'script' or 'scripts', not both.")
    name = top.value("script")
    # A script's name alone will do, here as in a list.
    one = Section(top.document, ("script",), {"file": name}, top.findings) if isinstance(name, str) else None
    one = one or top.section("script")
    entries = [one] if one else []
    entries += [
        Section(top.document, path, value, top.findings) for path, value in _entries(top.items("scripts"))
    ]
    scripts = tuple(_read_script(entry) for entry in entries)
    names = [script.name.lower() for script in scripts]
    for number, entry in enumerate(entries):
        if names[number] in names[:number]:
            cure = "Give one of them a 'name'."
            entry.refuse(None, f"two scripts are called '{scripts[number].name}'.", cure=cure)
    return scripts


def _entries(items: Iterator[tuple[KeyPath, Any]]) -> Iterator[tuple[KeyPath, Any]]:
    # A list entry may be a script's name alone.
    for path, value in items:
        yield path, {"file": value} if isinstance(value, str) else ({} if value is None else value)


def _read_script(entry: Section) -> ScriptConfig:
    file = entry.text("file", required=True) or ""
    name = entry.file_name("name", PurePath(file).stem or "script")
    is_async = entry.flag("async")
    script = ScriptConfig(
        file=script_path(file, entry.document.folder),
        name=name,
        provider=entry.text("provider"),
        process=entry.text("process"),
        is_async=is_async,
        provider_parameters=entry.free("provider_parameters"),
        parameters=entry.free("parameters"),
        policy=_read_policy(entry.section("policy")),
    )
    entry.finish()
    return script


def _read_policy(section: Section) -> Policy:
    slow, queue = _read_slow(section)
    policy = Policy(
        slow,
        queue,
        error=cast("OnError", section.choice("error", ("abort", "skip", "disable"), "skip")),
        limit_s=section.number("limit_s", 60.0, 0.0, above=True),
        place=cast("Place", section.choice("place", ("worker", "thread"), "worker", LATER["place"])),
    )
    section.finish()
    return policy


def _read_slow(section: Section) -> tuple[Slow | None, int]:
    """``wait`` or ``{queue: n}``."""
    value = section.value("slow")
    if value is None or value == "wait":
        return value, DEFAULT_QUEUE
    if isinstance(value, dict):
        inner = section.section("slow")
        queue = inner.integer("queue", DEFAULT_QUEUE, 1, 10_000)
        inner.finish()
        return "queue", queue
    section.refuse_choice("slow", value, ("wait", "{queue: n}"), LATER["slow"])
    return None, DEFAULT_QUEUE


def read_device_error(section: Section) -> DeviceErrorPolicy:
    """The section ``device_error``."""
    default = DeviceErrorPolicy()
    then = section.choice("then", ("skip_event", "abort"), default.then, LATER["then"])
    policy = DeviceErrorPolicy(
        section.integer("retries", default.retries, 0, 1000),
        section.number("wait_s", default.wait_s, 0.0),
        cast("AfterRetries", then),
    )
    section.finish()
    return policy


def read_output(section: Section) -> Output:
    """The section ``output``."""
    default = Output()
    output = Output(
        section.text("directory", default.directory) or default.directory,
        section.integer("answer_bytes", default.answer_bytes, 0, _LARGEST_ANSWER),
        section.integer("file_bytes", default.file_bytes, 1 << 20, (1 << 32) - 1),
        section.integer("cache_bytes", default.cache_bytes, 0),
    )
    section.finish()
    return output


def absolute(text: str, folder: Path) -> Path:
    """The path ``text``, relative to ``folder`` where it is not absolute."""
    path = Path(text).expanduser()
    return path if path.is_absolute() else (folder / path).resolve()


def script_path(file: str, folder: Path) -> str:
    """A library name as it is; a path (with a separator, or ending in .py) made absolute."""
    if not file.endswith(".py") and PurePath(file).name == file and "\\" not in file:
        return file
    return str(absolute(file, folder))


def _config_path(config: str, folder: Path) -> str:
    """A configuration's name as it is; a path made absolute."""
    if PurePath(config).name == config and "\\" not in config and not (folder / config).is_file():
        return config
    return str(absolute(config, folder))
