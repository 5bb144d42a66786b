"""Maps between planes: the answer is made first, wrong pairs are left out."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.analysis.mapping import MapModel, apply_map, fit_map
from inscoper_mm.errors import InvalidInput

AFFINE = (0.3, 0.0198, 0.0007, 9.6, -0.0009, -0.0203)
SECOND = (0.3, 0.0198, 0.0007, 2e-6, -3e-6, 1e-6, 9.6, -0.0009, -0.0203, 4e-6, 1e-6, -2e-6)
TRUE: dict[MapModel, tuple[float, ...]] = {"affine": AFFINE, "second_order": SECOND}


def _pixels() -> np.ndarray:
    return np.stack(np.meshgrid(np.linspace(40, 470, 7), np.linspace(30, 480, 7)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("model", TRUE)
def test_the_true_map_is_found(model: MapModel) -> None:
    source = _pixels()
    fitted = fit_map(source, apply_map(model, TRUE[model], source), model)
    assert fitted.residual < 1e-6 and fitted.kept.all()
    assert np.allclose(fitted.coefficients, TRUE[model], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("model", TRUE)
def test_noise_and_wrong_pairs_do_not_matter(model: MapModel) -> None:
    random = np.random.default_rng(3)
    source = _pixels()
    target = apply_map(model, TRUE[model], source)
    found = source + random.normal(0, 0.1, source.shape)
    wrong = random.choice(len(source), 10, replace=False)
    found[wrong] = random.uniform(0, 512, (10, 2))
    fitted = fit_map(found, target, model)
    assert not fitted.kept[wrong].any() and fitted.kept.sum() >= 36
    off = (apply_map(model, fitted.coefficients, source) - target) / 0.02  # px
    assert np.hypot(*off.T).max() < 0.4
    assert 0.08 < fitted.residual < 0.2


def test_an_affine_does_not_hide_distortion() -> None:
    source = _pixels()
    target = apply_map("second_order", SECOND, source)
    assert fit_map(source, target, "affine").residual > 1.0
    assert fit_map(source, target, "second_order").residual < 1e-6


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.array([[0.0, 0], [1, 0], [0, 1]]), "too few"),
        (np.stack([np.arange(20.0), np.arange(20.0)], axis=1), "on a line"),
    ],
)
def test_what_gives_no_map_is_refused(source: np.ndarray, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        fit_map(source, source * 2, "affine")


def test_pairs_without_a_common_map_are_refused() -> None:
    random = np.random.default_rng(1)
    with pytest.raises(InvalidInput, match="agree with one map"):
        fit_map(_pixels(), random.uniform(0, 10, (49, 2)), "affine", agree=10.0)
