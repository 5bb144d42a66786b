"""The specimen is hard for the textbook and can be solved by those who take the background away."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.segmentation import watershed

from inscoper_mm.specimen import View, match

FIELDS = [(1, 0.0, 0.0), (2, 700.0, -400.0), (3, -1500.0, 900.0)]
CHANNELS = ["DAPI", "FITC"]


def split(mask, min_distance=7):
    """Touching objects parted by the distance transform and a watershed."""
    distance = gaussian(ndimage.distance_transform_edt(mask), 1)
    peaks = peak_local_max(distance, min_distance=min_distance, labels=label(mask))
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, markers, mask=mask)


def textbook(image, smoothing):
    """Otsu's threshold of the image as it is, then the distance transform and a watershed."""
    smooth = gaussian(image, smoothing, preserve_range=True) if smoothing else image
    return split(smooth > threshold_otsu(smooth))


def without_background(image):
    """The same after a white top-hat, with the noise made even, and specks left out."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (51, 51))
    background = cv2.GaussianBlur(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, disc), (0, 0), 12)
    even = (smooth - background) / np.sqrt(background)
    pieces = label(even > threshold_otsu(even))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return split(ndimage.binary_fill_holes((sizes >= 30)[pieces]), min_distance=6)


def scores(specimen_of, method, channel, **parameters):
    results = []
    for seed, x_um, y_um in FIELDS:
        specimen = specimen_of(seed=seed, **parameters)
        view = View(x_um, y_um, 0, channel, 20, image=0)
        results.append(match(method(specimen.render(view)), specimen.truth(view)))
    return results


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("smoothing", [0, 1, 2])
def test_the_textbook_fails(specimen_of, channel, smoothing):
    results = scores(specimen_of, lambda image: textbook(image, smoothing), channel)
    assert all(result.true > 60 for result in results)
    assert max(result.f1 for result in results) < 0.6


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_textbook_is_right_where_there_is_no_haze(specimen_of, channel):
    """Which shows that it is the specimen that is hard, and not the textbook that is wrong."""
    results = scores(specimen_of, lambda image: textbook(image, 2), channel, haze=0.05, falloff=0.0)
    assert min(result.f1 for result in results) > 0.9


@pytest.mark.parametrize("channel", CHANNELS)
def test_it_can_be_solved(specimen_of, channel):
    results = scores(specimen_of, without_background, channel)
    assert min(result.isolated_recall for result in results) >= 0.9
    assert max(result.false_fraction for result in results) <= 0.05
