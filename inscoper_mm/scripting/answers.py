"""What a processing function returned, checked and in plain form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inscoper_mm.errors import InscoperError, one_of
from inscoper_mm.scripting.forms import FORMS, Shape, WrongForm
from inscoper_mm.scripting.plain import NotPlain, plain, show
from inscoper_mm.scripting.vocabulary import METADATA, PROCESSORS, WARNINGS


class AnswerError(InscoperError):
    """A processing function returned something that the contract does not know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Values by data processor, and the metadata to inject into the new image (JSON values)."""

    values: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the script says against its own answer: the text or texts that it injects as ``WARNINGS``."""
        said = self.metadata.get(WARNINGS) or ()
        texts = said if isinstance(said, list) else [said]
        return tuple(text for text in map(str, texts) if text) if said else ()


def check_answer(returned: Any, shapes: Collection[Shape] = ()) -> Answer:
    """What a processing function returned.

    Parameters
    ----------
    returned
        None, or a mapping of data processor to value; the key ``metadata`` goes into the new image's metadata. The
        values of the contract's processors must have their form; those of others are kept as they are.
    shapes : collection of shapes
        The sizes of the images of this call: labels must have one of them.

    Raises
    ------
    AnswerError
    """
    if returned is None:
        return Answer()
    if not isinstance(returned, Mapping):
        raise AnswerError(
            f"The processing function must return None or a dict of data processors. Got: {show(returned)}. "
            f'Write: return {{"{_likely(returned)}": ...}}. Allowed: {one_of((*PROCESSORS, METADATA))}, or names of '
            "your own."
        )
    try:
        metadata = _metadata(returned.get(METADATA))
        values = {_name(key): _value(key, item, shapes) for key, item in returned.items() if key != METADATA}
    except (WrongForm, NotPlain) as error:
        raise AnswerError(str(error)) from None
    return Answer(values, metadata)


def _likely(returned: Any) -> str:
    """The processor that a bare value was probably meant for."""
    if isinstance(returned, np.ndarray):
        return "segmentation" if returned.dtype.kind in "iub" else "image"
    return "timeseries" if isinstance(returned, int | float) else METADATA


def _metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WrongForm(f"'{METADATA}' must be a dict of JSON values. Got: {show(value)}.")
    converted: dict[str, Any] = plain(value, METADATA)
    return converted


def _name(key: Any) -> str:
    if not isinstance(key, str) or not key:
        raise WrongForm(f"The name of a data processor must be text. Got: {show(key)}.")
    return key


def _value(name: Any, value: Any, shapes: Collection[Shape]) -> Any:
    processor = PROCESSORS.get(name)
    if processor is None or value is None:
        return value
    try:
        return FORMS[processor.form](value, f"'{name}'", shapes)
    except WrongForm as error:
        raise WrongForm(f"{error} A '{name}' is {processor.text}.") from None
