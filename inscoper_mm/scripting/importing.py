"""Importing a script from its file: under a name of its own, with its neighbours importable, its errors with a line."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from inscoper_mm.errors import Finding, InvalidInput, short_path

_number = itertools.count(1)
_importing = threading.Lock()
# Modules next to scripts that were imported by one: the next script gets its own.
_neighbours: set[str] = set()


def import_script(file: Path) -> ModuleType:
    """Run the script's module and return it.

    The module is new at each call, and so are the modules next to the script that it imports: nothing is shared with
    a script that was loaded before. The script's folder comes first on the import path meanwhile, and stays last on it,
    for imports inside of functions.

    Raises
    ------
    InvalidInput
        If there is no such file, or running it fails; with the line of the script.
    """
    file = file.resolve()
    if not file.is_file():
        raise InvalidInput(Finding("There is no such script file.", file=short_path(file)))
    name = f"inscoper_script_{next(_number)}_{file.stem}"
    spec = importlib.util.spec_from_loader(name, SourceFileLoader(name, str(file)), origin=str(file))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(file)
    with _importing, _folder_first(file.parent), _own_neighbours(file.parent):
        sys.modules[name] = module
        try:
            # Not the loader's own way: that would write bytecode next to the script.
            exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)
        except (Exception, SystemExit) as error:
            sys.modules.pop(name, None)
            raise InvalidInput(_failed_import(file, error)) from error
    return module


@contextmanager
def _folder_first(folder: Path) -> Iterator[None]:
    entry = str(folder)
    known = entry in sys.path
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
        if not known:
            sys.path.append(entry)


@contextmanager
def _own_neighbours(folder: Path) -> Iterator[None]:
    for name in _neighbours:
        sys.modules.pop(name, None)
    _neighbours.clear()
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules.get(name), "__file__", None)
            if origin and folder in Path(origin).parents and not name.startswith("inscoper_script_"):
                _neighbours.add(name)


def _failed_import(file: Path, error: BaseException) -> Finding:
    place, line = _place(file, error)
    message = f"The script cannot be loaded: {type(error).__name__}: {_message(error)}"
    cure = None
    if isinstance(error, ModuleNotFoundError) and error.name:
        cure = f"Install what provides '{error.name}' into {sys.executable}, or put it next to the script."
    return Finding(message, file=short_path(place), line=line, cure=cure)


def _message(error: BaseException) -> str:
    return str(error.msg if isinstance(error, SyntaxError) else error) or "no message"


def _place(file: Path, error: BaseException) -> tuple[Path, int | None]:
    """The innermost line in the script or next to it: what its author can change."""
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename), error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if file.parent in Path(frame.filename).parents:
            return Path(frame.filename), frame.lineno
    return file, None
