"""Site and user files: limits and aliases that hold for every experiment on this machine, or of this user.

The site file is the facility's, the user file the user's own. A file named by ``INSCOPER_MM_SITE`` counts as one more
site file: it cannot take the place of the machine's own, since every file can only tighten.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.experiment.aliases import read_aliases
from inscoper_mm.experiment.document import Document, errors_first, read_document
from inscoper_mm.experiment.reader import Section
from inscoper_mm.experiment.safety import Safety, read_safety

SITE_VARIABLE = "INSCOPER_MM_SITE"
_APP = "inscoper-mm"


@dataclass(frozen=True, slots=True)
class SiteFile:
    """What a site or user file says; ``document`` knows the line of each value."""

    path: Path
    safety: Safety
    aliases: Mapping[str, str] = field(default_factory=dict)
    document: Document | None = field(default=None, compare=False)


def site_paths() -> tuple[Path, ...]:
    """Where the machine's site file may be; where there are several, all of them hold."""
    folders = platformdirs.site_config_dir(_APP, appauthor=False, multipath=True).split(os.pathsep)
    if sys.platform == "linux":
        # Desktops put folders of their own before this one, or leave it out.
        folders.append(f"/etc/xdg/{_APP}")
    return tuple(Path(folder) / "site.yaml" for folder in dict.fromkeys(folders))


def user_path() -> Path:
    """Where the user's own file is, if there is one."""
    return platformdirs.user_config_path(_APP, appauthor=False) / "user.yaml"


def read_site_files() -> tuple[SiteFile, ...]:
    """The files that are there: the machine's, the one that ``INSCOPER_MM_SITE`` names, the user's.

    Raises
    ------
    InvalidInput
        With everything that is wrong with them: a limit that cannot be read must not be left out.
    """
    named = os.environ.get(SITE_VARIABLE, "").strip()
    paths = [*site_paths(), *([Path(named).expanduser()] if named else []), user_path()]
    files: list[SiteFile] = []
    findings: list[Finding] = []
    for path in dict.fromkeys(paths):
        # One that the variable names has to be there; of the others, one that is not there says nothing.
        if not (named and path == Path(named).expanduser()) and not _is_there(path, findings):
            continue
        try:
            files.append(read_site_file(path))
        except InvalidInput as error:
            findings.extend(error.findings)
    if findings:
        raise InvalidInput(findings)
    return tuple(files)


def read_site_file(path: Path) -> SiteFile:
    """Read one file with the sections ``safety`` and ``aliases``.

    Raises
    ------
    InvalidInput
        With every mistake, its line and its field.
    """
    document = read_document(path)
    findings: list[Finding] = []
    top = Section(document, (), {} if document.value is None else document.value, findings)
    file = SiteFile(path, read_safety(top.section("safety")), read_aliases(top), document)
    top.finish()
    if findings:
        raise InvalidInput(errors_first(findings))
    return file


def _is_there(path: Path, findings: list[Finding]) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        findings.append(Finding(f"the file cannot be read: {error.strerror}.", file=short_path(path)))
        return False
    return True
