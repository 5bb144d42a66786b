"""From an experiment file to an `Experiment`, with every mistake named by file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.acquisition import read_acquisition
from inscoper_mm.experiment.aliases import read_aliases
from inscoper_mm.experiment.at_end import read_at_end
from inscoper_mm.experiment.autofocus import read_autofocus, refuse_together
from inscoper_mm.experiment.corrections import read_corrections
from inscoper_mm.experiment.document import Document, errors_first, parse_document, read_document
from inscoper_mm.experiment.model import Bursts, Experiment, Late
from inscoper_mm.experiment.overrides import apply_overrides
from inscoper_mm.experiment.photomanipulation import read_photomanipulation
from inscoper_mm.experiment.reader import Section
from inscoper_mm.experiment.safety import read_safety
from inscoper_mm.experiment.sections import (
    LATER,
    read_device_error,
    read_microscope,
    read_output,
    read_scripts,
)


def load_experiment(path: Path | str, overrides: Mapping[str, str] | None = None) -> Experiment:
    """Read an experiment file.

    Parameters
    ----------
    path : Path or str
        A YAML file.
    overrides : mapping, optional
        Key path -> YAML text, for example ``{"acquisition.channels[0].exposure": "50"}``.

    Raises
    ------
    InvalidInput
        With every mistake that was found.
    """
    return read_experiment(path, overrides)[0]


def read_experiment(
    path: Path | str, overrides: Mapping[str, str] | None = None
) -> tuple[Experiment, Document]:
    """As `load_experiment`; also gives the document, which knows the line of each value."""
    document = read_document(Path(path))
    return experiment_of(document, overrides or {}, Path(path).resolve()), document


def parse_experiment(text: str, folder: Path, overrides: Mapping[str, str] | None = None) -> Experiment:
    """As `load_experiment`, from YAML text; relative paths in it are relative to ``folder``."""
    return experiment_of(parse_document(text, "experiment", folder), overrides or {}, None)


def experiment_of(document: Document, overrides: Mapping[str, str], source: Path | None) -> Experiment:
    """The experiment of a document, which ``overrides`` change; ``source`` is its file.

    Raises
    ------
    InvalidInput
        With every mistake that was found.
    """
    apply_overrides(document, overrides)
    findings: list[Finding] = []
    if document.value is None:
        raise InvalidInput(Finding("the file is empty.", file=document.file))
    top = Section(document, (), document.value, findings)
    if findings:
        raise InvalidInput(findings)
    experiment = Experiment(
        name=top.file_name("name", source.stem if source else "experiment"),
        metadata=top.free("metadata"),
        microscope=read_microscope(top.section("microscope")),
        # None only where there are findings, and then the experiment is not given away.
        acquisition=read_acquisition(top.section("acquisition")),  # type: ignore[arg-type]
        scripts=read_scripts(top),
        aliases=read_aliases(top),
        safety=read_safety(top.section("safety")),
        corrections=read_corrections(top.section("corrections")),
        autofocus=read_autofocus(top.section("autofocus")),
        photomanipulation=read_photomanipulation(top.section("photomanipulation")),
        at_end=read_at_end(top.section("at_end")),
        device_error=read_device_error(top.section("device_error")),
        late=cast("Late", top.choice("late", ("shift",), "shift", LATER["late"])),
        bursts=cast("Bursts", top.choice("bursts", ("none", "z_stack"), "none")),
        output=read_output(top.section("output")),
        source=source,
    )
    refuse_together(top, experiment.autofocus, experiment.acquisition)
    top.finish()
    if findings:
        raise InvalidInput(errors_first(findings))
    return experiment
