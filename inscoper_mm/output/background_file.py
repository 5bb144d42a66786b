"""The background model as a file: a TIFF that every program opens, which says where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.analysis.illumination import Light
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.output.files import publish, unfinished

_KIND = "inscoper_mm background model"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Optics:
    """What the light depends on. None: not known, and not compared."""

    channel: str | None = None
    objective: str | None = None
    pixel_size_um: float | None = None
    camera: str | None = None
    binning: int | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a background model comes from.

    Parameters
    ----------
    method : str
    optics : Optics
        Of its fields.
    fields : tuple of mapping
        What is known about each field: indices, name, place.
    offset_from : str
        ``given``, or ``estimated``.
    made_utc, version : str
        When, and with which inscoper_mm; filled in where left out.
    """

    method: str
    optics: Optics
    fields: tuple[Mapping[str, Any], ...] = ()
    offset_from: str = "given"
    made_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    version: str = field(default_factory=lambda: _version())


def write_background(path: Path, light: Light, provenance: Provenance) -> None:
    """Write a model: an empty field in grey values (float32), and the rest in the TIFF's description, as JSON.

    Raises
    ------
    OSError
        If it cannot be written; an older file of that name is still there then.
    """
    import tifffile

    about = {"kind": _KIND, "format": _FORMAT, "offset": light.offset, "level": light.level}
    tifffile.imwrite(
        unfinished(path),
        light.background,
        photometric="minisblack",
        description=json_text(about | asdict(provenance)),
        metadata=None,
        software="inscoper_mm",
    )
    publish(path)


def read_background(path: Path) -> tuple[Light, Provenance]:
    """The model that `write_background` has written.

    Raises
    ------
    InvalidInput
        If there is no such file, or it is no background model.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            pixels = file.pages[0].asarray()
            text = file.pages[0].description
    except FileNotFoundError:
        raise InvalidInput(_refused(path, "there is no such background model.")) from None
    except (tifffile.TiffFileError, ValueError, IndexError, OSError) as error:
        raise InvalidInput(_refused(path, f"it cannot be read as a TIFF: {error}")) from error
    about = _about(text)
    if about is None or pixels.ndim != 2:
        raise InvalidInput(
            _refused(
                path, "it is no background model: nothing in it says of which channel and objective it is."
            )
        )
    light = Light.from_background(np.asarray(pixels, np.float32), float(about["offset"]))
    return light, Provenance(
        method=str(about.get("method", "")),
        optics=Optics(**{key.name: about.get("optics", {}).get(key.name) for key in fields(Optics)}),
        fields=tuple(about.get("fields", ())),
        offset_from=str(about.get("offset_from", "given")),
        made_utc=str(about.get("made_utc", "")),
        version=str(about.get("version", "")),
    )


def refuse_other_light(model: Optics, image: Optics, file: Path | None = None) -> None:
    """Compare what a model was made with and what an image was taken with.

    Raises
    ------
    InvalidInput
        With a finding for each difference.
    """
    findings = [
        Finding(
            f"the background model is of another {name.replace('_', ' ')}.",
            file=str(file) if file else None,
            parameter=name,
            got=str(taken),
            allowed=str(made),
            cure="take a model for this light: the light of one is not that of another",
        )
        for name, made in asdict(model).items()
        if made is not None and (taken := getattr(image, name)) is not None and not _same(made, taken)
    ]
    if findings:
        raise InvalidInput(findings)


def _same(made: Any, taken: Any) -> bool:
    if isinstance(made, float) or isinstance(taken, float):
        return bool(np.isclose(made, taken, rtol=1e-3))
    return bool(made == taken)


def _about(text: str) -> dict[str, Any] | None:
    try:
        about = json.loads(text)
    except ValueError:
        return None
    known = isinstance(about, dict) and about.get("kind") == _KIND and "offset" in about
    return about if known else None


def _refused(path: Path, why: str) -> Finding:
    return Finding(
        why,
        file=str(path),
        cure="give the background.tif of an earlier run, or leave the parameter out to make a new model",
    )


def _version() -> str:
    import inscoper_mm

    return inscoper_mm.__version__
