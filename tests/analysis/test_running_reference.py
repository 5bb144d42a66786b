"""A series of noisy images whose places are known, against each kind of reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inscoper_mm.analysis.running_reference import Reference
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.testing.simulated_pairs import Field, noisy


def _errors(strategy, images=20, snr=2, seed=0, fading=0.0):
    """Distances between found and true places of a field that is held near its place, as a stage does it."""
    random = np.random.default_rng([seed, 1])
    field, new = Field([seed, 0], 60, 192), Field([seed, 1], 60, 192)
    reference, errors = None, []
    for number in range(images):
        place = tuple(random.uniform(-2, 2, 2)) if number else (0.0, 0.0)
        part = min(fading * number, 1.0)
        image = noisy((1 - part) * field.draw(place) + part * new.draw(place), snr, random) * 0.99**number
        if reference is None:
            reference = Reference.first(image)
            continue
        found = find_translation(reference.image, image)
        row, col = reference.place_px(found)
        errors.append(math.hypot(row - place[0], col - place[1]) if found.trusted else math.inf)
        reference = reference.after(image, found, strategy)
    return np.array(errors)


def _late(strategy):
    return math.sqrt(np.mean([np.mean(_errors(strategy, seed=seed)[-7:] ** 2) for seed in range(2)]))


def test_errors_add_up_with_the_previous_image_and_with_no_other_reference():
    late = {strategy: _late(strategy) for strategy in ("previous", "first", "template")}
    assert late["previous"] > 1.5 * late["template"]
    assert late["template"] < 1.2 * late["first"]


def test_a_template_follows_what_the_first_image_loses():
    """The field slowly becomes another one."""
    lost = _errors("first", images=30, snr=10, fading=1 / 25)
    followed = _errors("template", images=30, snr=10, fading=1 / 25)
    assert lost[-1] == math.inf or lost[-1] > 5
    assert followed.max() < 1


@pytest.mark.parametrize("strategy", ["previous", "first", "template"])
def test_an_image_that_is_not_trusted_changes_nothing(strategy):
    reference = Reference.first(Field(1, side=192).draw())
    other = Field(2, side=192).draw()
    found = find_translation(reference.image, other)
    assert not found.trusted
    assert reference.after(other, found, strategy) is reference


def test_a_template_begins_anew_where_the_field_has_moved_away():
    field = Field(3, side=192)
    reference = Reference.first(field.draw())
    moved = field.draw((30.0, 10.0))
    found = find_translation(reference.image, moved)
    after = reference.after(moved, found, "template")
    assert after.at_px == pytest.approx((30.0, 10.0), abs=0.05)
    assert after.images == 1
    np.testing.assert_array_equal(after.image, moved.astype(np.float32))
