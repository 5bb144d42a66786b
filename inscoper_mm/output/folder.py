"""The run folder: where each file of a run lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from inscoper_mm.output.files import safe_name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run; see ``docs/reference/run-folder.md``.

    Parameters
    ----------
    path : Path
        An existing run folder; ``create`` makes a new one.
    """

    path: Path

    @classmethod
    def create(cls, directory: Path, name: str, utc: datetime) -> RunFolder:
        """Make ``<directory>/<name>_<YYYYMMDDTHHMMSSZ>``; a number follows if that exists.

        Raises
        ------
        OSError
            If the folder cannot be made.
        """
        stem = f"{safe_name(name)}_{utc.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        directory.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = directory / (stem if number == 1 else f"{stem}_{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            (path / "results").mkdir()
            return cls(path.resolve())
        raise AssertionError("count() does not end")

    @property
    def experiment(self) -> Path:
        """The experiment as it was resolved."""
        return self.path / "experiment.yaml"

    @property
    def run(self) -> Path:
        """What happened, as a whole."""
        return self.path / "run.json"

    @property
    def status(self) -> Path:
        """What happens now."""
        return self.path / "status.json"

    @property
    def events(self) -> Path:
        """The journal: everything that happened, a line each."""
        return self.path / "events.jsonl"

    @property
    def images(self) -> Path:
        """The data set."""
        return self.path / "images"

    @property
    def results(self) -> Path:
        """What the scripts published."""
        return self.path / "results"

    @property
    def log(self) -> Path:
        """The log for people."""
        return self.path / "log.txt"

    def export_path(self, script: str, several: bool) -> Path:
        """Where ``script`` writes its own files: the run folder; with several scripts, its own folder in it."""
        if not several:
            return self.path
        path = self.path / safe_name(script, "script")
        path.mkdir(exist_ok=True)
        return path
