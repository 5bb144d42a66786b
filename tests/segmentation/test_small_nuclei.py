"""The small network: how it is made, and what it finds in real images of nuclei."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.model_files import find_model
from inscoper_mm.segmentation.segmenter import Segmenter

pytestmark = [
    pytest.mark.cellpose,
    pytest.mark.skipif(find_spec("cellpose") is None, reason="cellpose is not installed"),
    pytest.mark.filterwarnings("ignore"),
]
ROOT = Path(__file__).resolve().parents[2]
NUCLEI = ROOT.parent / "shared" / "data" / "nuclei"
PAIRS = [
    *(
        (image, image.with_name(image.name.replace("_img", "_mask")))
        for image in NUCLEI.glob("dsb2018/*_img.tif")
    ),
    *((image, image.with_name("mask2d.tif")) for image in NUCLEI.glob("stardist/img2d.tif")),
]
NO_DATA = pytest.mark.skipif(not PAIRS, reason=f"no real images in {NUCLEI}")


@pytest.fixture(scope="module")
def training() -> Iterator[None]:
    """The modules of train/ can be imported, by the names that they have there."""
    if not (ROOT / "train").is_dir():
        pytest.skip("train/ is not part of an installed package")
    sys.path.insert(0, str(ROOT / "train"))
    yield
    sys.path.remove(str(ROOT / "train"))


def of_training(name: str) -> ModuleType:
    return import_module(name)


def average_precision(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> float:
    """TP / (TP + FP + FN) at an intersection over union of more than a half."""
    shared = np.zeros((true.max() + 1, found.max() + 1))
    np.add.at(shared, (true.ravel(), found.ravel()), 1)
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    hits = int((shared / np.maximum(union, 1) > 0.5)[1:, 1:].sum())
    count = len(np.unique(true)) + len(np.unique(found)) - 2
    return hits / (count - hits)


@pytest.mark.usefixtures("training")
def test_a_field_is_the_same_for_the_same_seed_and_has_whole_cells() -> None:
    make_field = of_training("fields").make_field
    image, labels = make_field(7)
    again, same = make_field(7)
    other, _ = make_field(8)
    assert np.array_equal(image, again) and np.array_equal(labels, same)
    assert not np.array_equal(image, other)
    assert image.shape == labels.shape == (256, 256)
    inside, outside = image[labels > 0], image[labels == 0]
    assert labels.max() > 5 and inside.mean() > outside.mean()


@pytest.mark.usefixtures("training")
def test_training_learns_and_its_file_opens_in_cellpose(tmp_path: Path) -> None:
    import torch

    training, padding, batches = map(of_training, ("train", "padding", "batches"))
    examples = [batches.make_example(seed) for seed in (1, 2)]
    net = training.train(examples, steps=8)
    images, targets = map(torch.from_numpy, batches.batch(np.random.default_rng(5), examples, 8))
    untrained = training.CPnet(training.WIDTHS, 3, 3).train()
    with torch.no_grad():
        assert training.loss_of(net.train()(images)[0], targets) < 0.9 * training.loss_of(
            untrained(images)[0], targets
        )
    state = padding.padded(net.state_dict())
    state |= {"diam_mean": torch.tensor([17.0]), "diam_labels": torch.tensor([24.0])}
    file = tmp_path / "made"
    padding.write_compressed(state, file)
    assert file.stat().st_size < 2_000_000
    assert find_model(file).generation == 3

    from cellpose.models import CellposeModel

    model = CellposeModel(pretrained_model=str(file))
    assert (model.diam_mean, model.diam_labels) == (17, 24)
    net.eval()
    model.net.mkldnn = False
    with torch.no_grad():
        assert torch.allclose(model.net.eval()(images)[0], net(images)[0], atol=1e-4)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return cellpose_segmenter()


def scores(segmenter: Segmenter, pairs: list[tuple[Path, Path]], given: bool) -> dict[str, float]:
    found = {}
    for image, mask in sorted(pairs):
        true = tifffile.imread(mask).astype(np.int64)
        areas = np.unique(true, return_counts=True)[1][1:]
        diameter = float(np.median(np.sqrt(4 / np.pi * areas))) if given else None
        (labels,) = segmenter.segment([tifffile.imread(image)], diameter)
        found[image.stem] = average_precision(true, labels)
    return found


@NO_DATA
def test_real_nuclei_are_found(segmenter: Segmenter) -> None:
    few = [pair for pair in PAIRS if pair[0].stem[:8] in {"1b6044e4", "a02ec007", "9ebcfaf2"}]
    assert len(few) == 3
    assert np.mean(list(scores(segmenter, few, given=False).values())) > 0.7


@NO_DATA
@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True], ids=["diameter left to the model", "diameter given"])
def test_all_pairs_on_average(segmenter: Segmenter, given: bool) -> None:
    found = scores(segmenter, PAIRS, given)
    assert len(found) == 11
    assert np.mean(list(found.values())) >= 0.70, found
