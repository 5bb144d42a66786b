"""Importing Cellpose: in a fraction of its time after the first, quietly, and without a way to download anything."""

from __future__ import annotations

import importlib
import logging
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput


def import_cellpose(generation: int) -> ModuleType:
    """The module ``cellpose.models``.

    Cellpose 3 has numba compile functions whenever it is imported, which takes longer than all the rest. Here numba
    keeps what it has compiled, as it does for the one function that Cellpose asks it to.
    """
    log = logging.getLogger("cellpose")
    if log.level == logging.NOTSET:
        # It tells each image's steps, and warns of empty images and of packages that nobody needs.
        log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), kept_by_numba(generation):
        warnings.simplefilter("ignore")
        if generation >= 4:
            _define_missing_operators()
        return importlib.import_module("cellpose.models")


@contextmanager
def kept_by_numba(generation: int) -> Iterator[None]:
    """What numba compiles in the body is kept on disk, beside its source or in the user's folder for that."""
    if generation >= 4:
        yield
        return
    numba: Any = importlib.import_module("numba")
    original: Callable[..., Any] = numba.njit

    def njit(*args: Any, **options: Any) -> Any:
        return original(*args, **{"cache": True} | options)

    numba.njit = njit
    try:
        yield
    finally:
        numba.njit = original


@contextmanager
def without_downloads() -> Iterator[None]:
    """Refuse each download of Cellpose in the body.

    Its downloader has no time limit, and stops this whole process from checking certificates.

    Raises
    ------
    InvalidInput
        From within Cellpose, when it begins to download.
    """
    utils: Any = importlib.import_module("cellpose.utils")
    download, context = utils.download_url_to_file, ssl._create_default_https_context

    def refuse(url: str, *_: object, **__: object) -> None:
        raise InvalidInput(
            Finding(
                "Cellpose wants to download a file, which is never done in a run",
                got=url,
                cure="Download it beforehand and give its path.",
            )
        )

    utils.download_url_to_file = refuse
    try:
        yield
    finally:
        utils.download_url_to_file = download
        ssl._create_default_https_context = context


_operators: list[Any] = []


def _define_missing_operators() -> None:
    """Make a torchvision importable that was built for another torch than the one that is there.

    PyPI's torchvision wants a torch for graphics cards: beside one for processors its own operators cannot be loaded,
    and without them it cannot be imported. Cellpose 4 imports it and uses none of them, so their names will do.
    """
    import torch

    if _operators or hasattr(torch.ops.torchvision, "nms"):
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _operators.append(library)
