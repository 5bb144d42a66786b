"""What every generation of Cellpose must keep to behind the protocol, on whichever is installed."""

from __future__ import annotations

import json
import logging
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.segmentation.cellpose import CellposeSegmenter, cellpose_segmenter
from inscoper_mm.segmentation.importing import import_cellpose, without_downloads
from inscoper_mm.segmentation.model_files import VARIABLE
from inscoper_mm.segmentation.segmenter import Segmenter

pytestmark = pytest.mark.cellpose


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that somebody tried to open; none of them can be."""
    asked: list[str] = []

    def refuse(url: Any, *_: Any, **__: Any) -> None:
        asked.append(str(url))
        raise OSError("there is no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("cellpose.utils.urlopen", refuse)
    return asked


def test_labels_are_whole_and_of_the_image_s_shape(segmenter: Segmenter, cells: Any) -> None:
    image = cells()
    (labels,) = segmenter.segment([image], 18)
    assert labels.dtype == np.int32
    assert labels.shape == image.shape
    shown = np.unique(labels)
    assert len(shown) > 5
    assert shown.tolist() == list(range(len(shown)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "int32", "float32", "float64"])
def test_the_type_of_the_image_changes_nothing_and_it_is_not_changed(
    segmenter: Segmenter, cells: Any, dtype: str
) -> None:
    image = (cells() // 8).astype(dtype)
    before = image.copy()
    np.testing.assert_array_equal(
        segmenter.segment([image], 18)[0], segmenter.segment([before.astype(np.uint16)], 18)[0]
    )
    np.testing.assert_array_equal(image, before)


def test_one_value_that_is_no_number_changes_nothing(segmenter: Segmenter, cells: Any) -> None:
    image = cells().astype(float)
    image[0, 0] = image.min()
    spoilt = image.copy()
    spoilt[0, 0] = np.nan
    (labels,) = segmenter.segment([image], 18)
    assert labels.any()
    np.testing.assert_array_equal(segmenter.segment([spoilt], 18)[0], labels)


def test_images_of_a_call_are_answered_in_their_order_and_as_if_alone(
    segmenter: Segmenter, cells: Any
) -> None:
    images = [cells(3, 4), cells(2, 2, 1), cells(3, 4, 2), *(cells(2, 2, seed) for seed in range(3, 12))]
    together = segmenter.segment(images, 18)
    assert len(together) == len(images)
    for image, labels in zip(images, together, strict=True):
        assert labels.shape == image.shape
        (alone,) = segmenter.segment([image], 18)
        # Sums of floats in another order: a pixel on an edge may fall to the other side.
        assert np.mean((alone > 0) != (labels > 0)) < 0.001
    assert segmenter.segment([]) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 64), 65535, np.uint16),
        np.ones((16, 16)),
        np.ones((16, 300)),
    ],
    ids=["blank", "saturated", "smallest", "narrow"],
)
def test_images_without_cells_have_no_labels(segmenter: Segmenter, generation: int, image: Any) -> None:
    (labels,) = segmenter.segment([image])
    assert labels.shape == image.shape
    if generation == 3:  # that of 4 has not been trained
        assert not labels.any()


@pytest.mark.parametrize(
    ("shape", "diameter"),
    [((5, 64, 64), None), ((64, 64, 3), None), ((10, 10), None), ((64, 64), 1), ((64, 64), 500)],
)
def test_what_it_would_take_for_something_else_or_for_minutes_is_refused(
    segmenter: Segmenter, shape: tuple[int, ...], diameter: float | None
) -> None:
    with pytest.raises(InvalidInput):
        segmenter.segment([np.zeros(shape, np.uint16)], diameter)


def test_settings_of_other_calls_do_not_leak(segmenter: Segmenter, cells: Any) -> None:
    defaults = import_cellpose_again().normalize_default
    image, before = cells(), dict(defaults)
    labels = segmenter.segment([image, image], 18)
    assert defaults == before
    try:
        # As a call with normalize=False, and one with invert=True, leave it.
        defaults.update(normalize=False, invert=True, norm3D=True, percentile=[40.0, 60.0])
        again = segmenter.segment([image, image], 18)
    finally:
        defaults.update(before)
    np.testing.assert_array_equal(labels, again)


def import_cellpose_again() -> Any:
    import cellpose.models

    return cellpose.models


def test_the_same_arguments_give_the_same_network(segmenter: Segmenter, model: str) -> None:
    assert cellpose_segmenter(model) is segmenter
    assert cellpose_segmenter(Path(model) if "/" in model else model, gpu="auto", fast=True) is segmenter


def test_it_tells_what_it_is_as_json(segmenter: Segmenter, model: str, generation: int) -> None:
    said = json.loads(json.dumps(segmenter.about))
    assert said["method"] == "cellpose"
    assert said["cellpose"].startswith(str(generation))
    assert (said["model"], len(said["model_sha256"])) == (model, 64)
    assert said["settings"] == {
        "gpu": "auto",
        "fast": True,
        "flow_threshold": 0.4,
        "cellprob_threshold": 0.0,
        "min_size_px": 15,
    }


def test_one_core_is_left_for_the_camera(segmenter: Segmenter) -> None:
    import os

    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert segmenter.about["threads"] <= max(1, cores - 1)
    assert torch.get_num_threads() == segmenter.about["threads"]


def test_a_missing_model_is_neither_downloaded_nor_replaced(
    segmenter: Segmenter, offline: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "models"))
    for name in ("cyto3", "cpsam", str(tmp_path / "gone")):
        with pytest.raises(InvalidInput):
            cellpose_segmenter(name)
    assert offline == []
    assert not (tmp_path / "models").exists()


def test_a_download_within_cellpose_is_refused_and_certificates_are_still_checked(
    segmenter: Segmenter, offline: list[str], tmp_path: Path
) -> None:
    import cellpose.utils

    download, context = cellpose.utils.download_url_to_file, ssl._create_default_https_context
    with without_downloads():
        with pytest.raises(InvalidInput, match="wants to download"):
            cellpose.utils.download_url_to_file("https://example.org/cyto3", str(tmp_path / "cyto3"))
        # What Cellpose's own does before it downloads.
        ssl._create_default_https_context = ssl._create_unverified_context
    assert ssl._create_default_https_context is context
    assert cellpose.utils.download_url_to_file is download
    assert offline == []


def test_where_it_computes_is_told(model: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "inscoper_mm"):
        cellpose_segmenter(model, gpu="no", min_size_px=14)
    assert "on the processor" in caplog.text
    assert model in caplog.text


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="torch finds no GPU"):
        cellpose_segmenter(model, gpu="yes")


def test_a_gpu_that_cellpose_does_not_use_is_not_passed_over(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    # There, but nothing can be put on it: Cellpose takes the processor then, and says nothing.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("cellpose.models.assign_device", lambda **_: (torch.device("cpu"), False))
    with pytest.raises(InvalidInput, match="could not use the GPU"):
        cellpose_segmenter(model, gpu="yes")


def test_a_memory_that_is_too_small_is_told(
    segmenter: Segmenter, cells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    assert isinstance(segmenter, CellposeSegmenter)
    monkeypatch.setattr(segmenter._network._model, "eval", full)
    with pytest.raises(InvalidInput, match="the memory of the GPU is too small"):
        segmenter.segment([cells()])


def test_importing_it_again_leaves_numba_as_it_was(generation: int) -> None:
    if generation == 3:
        import numba

        before = numba.njit
        import_cellpose(3)
        assert numba.njit is before
