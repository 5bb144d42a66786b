"""The fields of a background model as they come in: on disk, so that a restarted script goes on with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.camera_offset import estimate_offset, noise_of
from inscoper_mm.analysis.illumination import Light, project_light
from inscoper_mm.analysis.light_model import common_light, tiles_of
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.output.background_file import Optics, Provenance, refuse_other_light
from inscoper_mm.output.files import publish, unfinished

Method = Literal["robust", "median", "mean", "low_quantile"]

_FEWEST_FIELDS = 3


class BackgroundFields:
    """What is kept of the fields of a model: a few hundred kB of each, or the whole field where the method needs it.

    Parameters
    ----------
    folder : Path
        For this only; made when the first field comes, removed by `clear`.
    method : str
        ``robust`` (see `common_light`), or a projection of all fields (see `project_light`).
    offset : float, optional
        Of the camera, in grey values; left out: estimated from the fields, and refused where that is not possible.
    """

    def __init__(self, folder: Path, method: Method = "robust", offset: float | None = None) -> None:
        self._folder = folder
        self._method = method
        self._offset = offset

    def __len__(self) -> int:
        return len(self._files())

    def refuse_few(self, planned: int) -> None:
        """Refuse to go on where most of the ``planned`` fields are missing; some may have failed.

        Raises
        ------
        InvalidInput
            The model of a few fields is full of their cells and haze.
        """
        fewest = max(min(planned, _FEWEST_FIELDS), (planned + 1) // 2)
        if len(self) < fewest:
            raise InvalidInput(
                Finding(
                    "too few fields were taken before this image.",
                    field="acquisition.axis_order",
                    got=f"{len(self)} of {planned} fields",
                    allowed=f"at least {fewest}",
                    cure="Begin axis_order with t, so that all positions come before the second time point.",
                )
            )

    def add(
        self,
        name: str,
        image: npt.NDArray[Any],
        optics: Optics,
        about: Mapping[str, Any],
        mask: npt.NDArray[Any] | None = None,
    ) -> None:
        """Keep a field; one of the same name is replaced.

        Parameters
        ----------
        name : str
            A file name without ending.
        image : (Y, X)
        optics : Optics
            The same for all fields.
        about : mapping
            For the model's provenance: JSON values.
        mask : (Y, X), optional
            Not zero where there is a cell. Projections know no masks.

        Raises
        ------
        InvalidInput
            If it was taken with other optics than the fields before, or is of another size.
        """
        kept = {"shape": np.array(image.shape)}
        if self._offset is None:
            kept["noise"] = noise_of(image)
        kept["field"] = tiles_of(image, mask) if self._method == "robust" else image
        for other in self._files()[:1]:
            with np.load(other) as known:
                refuse_other_light(_optics_of(known), optics)
                if tuple(known["shape"]) != image.shape:
                    raise InvalidInput(
                        Finding(
                            "the fields are of different sizes.",
                            got=f"{image.shape}",
                            allowed=f"{tuple(known['shape'].tolist())}",
                        )
                    )
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.npz"
        text = json_text({"optics": _as_dict(optics), "about": about})
        with unfinished(path).open("wb") as file:
            np.savez(file, allow_pickle=False, text=np.array(text), **kept)
        publish(path)

    def model(self, smoothing_px: float = 0.0) -> tuple[Light, Provenance]:
        """The light that the fields have in common, and where it comes from.

        Parameters
        ----------
        smoothing_px : float
            Of projections.

        Raises
        ------
        InvalidInput
            If there is no field, no light in them, or no offset.
        """
        files = self._files()
        loaded = []
        for path in files:
            with np.load(path) as file:
                loaded.append({key: file[key] for key in file.files})
        if not loaded:
            raise InvalidInput(Finding("there is no field to make a background model of."))
        given = self._offset is not None
        offset = (
            self._offset if self._offset is not None else _estimated([field["noise"] for field in loaded])
        )
        fields = [field["field"] for field in loaded]
        if self._method == "robust":
            light = common_light(fields, _size(loaded[0]["shape"]), offset)
        else:
            light = project_light(np.stack(fields), self._method, offset, smoothing_px)
        provenance = Provenance(
            method=self._method,
            optics=_optics_of(loaded[0]),
            fields=tuple(json.loads(str(field["text"]))["about"] for field in loaded),
            offset_from="given" if given else "estimated",
        )
        return light, provenance

    def clear(self) -> None:
        """Remove what was kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.npz")) if self._folder.is_dir() else []


def _estimated(noise: list[npt.NDArray[np.float32]]) -> float:
    found = estimate_offset(noise)
    if found is None:
        raise InvalidInput(
            Finding(
                "the camera's offset cannot be told from the noise of these fields.",
                parameter="camera_offset",
                got="None",
                cure="Give it: the grey value of an image without light (100 for many cameras, 0 for corrected images)",
            )
        )
    return found.value


def _size(shape: npt.NDArray[np.int64]) -> tuple[int, int]:
    return int(shape[0]), int(shape[1])


def _optics_of(field: Mapping[str, Any]) -> Optics:
    return Optics(**json.loads(str(field["text"]))["optics"])


def _as_dict(optics: Optics) -> dict[str, Any]:
    return {name: getattr(optics, name) for name in Optics.__slots__}
