"""Opens the microscope of an experiment for the time of a command, with the specimen behind it where it has one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from inscoper_mm.experiment.model import Experiment
from inscoper_mm.microscope.cfg import find_config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.specimen import Specimen, SpecimenParameters, attach


@contextmanager
def opened(experiment: Experiment) -> Iterator[Microscope]:
    """The loaded microscope. Loading initialises the devices: stages may move.

    Raises
    ------
    InvalidInput
        If the configuration or the specimen's parameters are wrong.
    """
    with ExitStack() as closing:
        given = experiment.microscope.specimen
        parameters = None
        if given is not None:
            source = str(experiment.source) if experiment.source else None
            parameters = SpecimenParameters.from_mapping(given, source)
        microscope = Microscope.open(*find_config(experiment.microscope))
        closing.callback(microscope.close)
        if parameters is not None:
            closing.callback(attach(microscope.core, Specimen(parameters)).detach)
        yield microscope
