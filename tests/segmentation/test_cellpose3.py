"""Cellpose 3 with the shipped model: known cells, and what the fast settings may and may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.model_files import find_model
from inscoper_mm.segmentation.segmenter import Segmenter

pytestmark = pytest.mark.cellpose(generation=3)
PITCH_PX = 40


@pytest.mark.parametrize("diameter_px", [None, 18.0])
@pytest.mark.parametrize("fast", [True, False])
def test_every_cell_is_found_at_its_place(cells: Any, fast: bool, diameter_px: float | None) -> None:
    (labels,) = cellpose_segmenter(fast=fast).segment([cells(3, 5)], diameter_px)
    assert labels.max() == 15
    for row in range(3):
        for col in range(5):
            centre = (row * PITCH_PX + PITCH_PX // 2, col * PITCH_PX + PITCH_PX // 2)
            label = labels[centre]
            assert label > 0
            assert np.argwhere(labels == label).mean(axis=0) == pytest.approx(centre, abs=1.5)


def test_a_hot_pixel_changes_no_cell(segmenter: Segmenter, cells: Any) -> None:
    image = cells()
    hot = image.copy()
    hot[0, 0] = 65535
    assert segmenter.segment([hot])[0].max() == segmenter.segment([image])[0].max() == 12


def test_other_code_keeps_its_smallest_numbers(segmenter: Segmenter, cells: Any) -> None:
    """While it computes, such numbers count as zero: that must be over afterwards."""
    segmenter.segment([cells()])
    assert (np.full(3, 1e-310) * 0.5 > 0).all()


@pytest.fixture(scope="module")
def loaded(segmenter: Segmenter) -> Any:
    """The shipped model as Cellpose loads it: in its full width."""
    from cellpose import models

    return models.CellposeModel(
        gpu=False, pretrained_model=str(find_model("small_nuclei").path), mkldnn=False
    )


def outputs(net: Any, side: int = 96) -> tuple[Any, Any]:
    import torch

    torch.manual_seed(1)
    data = torch.rand(2, 2, side, side)
    with torch.no_grad():
        flows, style, *_ = net(data)
    return flows.numpy(), style.numpy()


def test_the_network_without_its_zeros_gives_the_same(loaded: Any) -> None:
    from inscoper_mm.segmentation.narrow_net import narrowed

    small = narrowed(loaded.net)
    assert small.net.nbase[1:] == [8, 16, 32, 64]
    assert sum(value.numel() for value in small.parameters()) < 0.1 * sum(
        value.numel() for value in loaded.net.parameters()
    )
    for ours, theirs in zip(outputs(small), outputs(loaded.net.eval()), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(theirs).max()))


def test_a_network_without_zeros_stays_whole(loaded: Any) -> None:
    import torch
    from cellpose.resnet_torch import CPnet

    from inscoper_mm.segmentation.narrow_net import narrowed

    torch.manual_seed(0)
    whole = CPnet([2, 32, 64, 128, 256], 3, sz=3).eval()
    kept = narrowed(whole)
    assert kept.net.nbase == [2, 32, 64, 128, 256]
    np.testing.assert_allclose(outputs(kept)[0], outputs(whole)[0], atol=1e-5)


def test_a_network_that_is_narrow_on_the_way_down_only_stays_whole(loaded: Any) -> None:
    import torch
    from cellpose.resnet_torch import CPnet

    from inscoper_mm.segmentation.narrow_net import narrowed

    torch.manual_seed(0)
    net = CPnet([2, 32, 64, 128, 256], 3, sz=3).eval()
    net.load_state_dict(loaded.net.state_dict())
    with torch.no_grad():
        net.upsample.up[0].conv[0][2].weight[30] = 1.0
    kept = narrowed(net)
    assert kept.net.nbase == [2, 32, 64, 128, 256]
    np.testing.assert_allclose(outputs(kept)[0], outputs(net)[0], atol=1e-5 * np.abs(outputs(net)[0]).max())


@pytest.mark.parametrize("seed", range(3))
def test_the_check_of_flows_gives_the_same_numbers(segmenter: Segmenter, seed: int) -> None:
    from cellpose import dynamics

    rng = np.random.default_rng(seed)
    masks = np.zeros((90, 110), np.int32)
    for label in range(1, 9):
        row, col = rng.integers(10, (80, 100))
        height, width = rng.integers(3, 10, 2)
        rows, cols = np.indices(masks.shape)
        inside = ((rows - row) / height) ** 2 + ((cols - col) / width) ** 2 < 1
        masks[inside & (masks == 0)] = label
    quick = dynamics.masks_to_flows_cpu(masks)[0]
    ours = dynamics._extend_centers
    dynamics._extend_centers = dynamics._extend_centers_before
    try:
        slow = dynamics.masks_to_flows_cpu(masks)[0]
    finally:
        dynamics._extend_centers = ours
    assert ours is not dynamics._extend_centers_before
    np.testing.assert_array_equal(quick, slow)


def changed(path: Path, change: Any) -> Path:
    """The shipped model with its weights changed."""
    import torch

    state = torch.load(find_model("small_nuclei").path, weights_only=True)
    torch.save(change(state), path)
    return path


def without_a_weight(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "upsample.up.res_up_1.proj.1.weight"}


def with_one_output(state: dict[str, Any]) -> dict[str, Any]:
    return state | {name: state[name][:1] for name in ("output.2.weight", "output.2.bias")}


def of_another_width(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"output.2.weight": state["output.2.weight"][:, :7]}


def of_something_else(state: dict[str, Any]) -> dict[str, Any]:
    return {"layer.weight": state["diam_mean"]}


def one_tensor(state: dict[str, Any]) -> Any:
    return state["diam_mean"]


@pytest.mark.parametrize(
    "change", [without_a_weight, with_one_output, of_another_width, of_something_else, one_tensor]
)
def test_a_file_with_other_weights_is_refused(segmenter: Segmenter, tmp_path: Path, change: Any) -> None:
    with pytest.raises(InvalidInput, match="not a file with the weights of a network of Cellpose"):
        cellpose_segmenter(changed(tmp_path / "mine", change))


def test_a_file_of_an_older_version_is_taken(segmenter: Segmenter, tmp_path: Path, cells: Any) -> None:
    def older(state: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in state.items() if not name.startswith("diam_")}

    found = cellpose_segmenter(changed(tmp_path / "mine", older)).segment([cells()], 18)
    assert found[0].max() > 0
