"""Where an image of transmitted light is not even: cells that are darker or brighter than their ground, or textured."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.background import quadratic_surface
from inscoper_mm.analysis.grey import GreyImage, blur, blur_widely

# The bands lie between Gauss filters of these widths, in cell diameters: the grain of a cell, and the cell itself.
_BANDS_DIAMETERS = (0.05, 0.2, 2.0)
_LEAST_PX = 0.7
# The activity is the mean over a Gauss window of this width.
_WINDOW_DIAMETERS = 0.16
# Activity of the bright half of an object, above the ground's. Noise alone reaches 10 here and there, and rarely 15:
# five objects as strong as the first number show that there are cells, and then weak ones may be some, too. One alone
# has to be stronger.
_FIVE_STRONG, _ONE_STRONG, _WEAK = 12.0, 20.0, 5.0
# To a normal distribution's standard deviation, from the median of absolute values.
_SIGMA = 1.4826


def activity(image: GreyImage, diameter_px: float) -> GreyImage:
    """The local mean square of an image, beside its light, in units of what the image has where nothing is.

    Two bands of detail are judged by themselves, each against its own median, which is that of the ground as long as
    cells cover less than half of the image. Then cells show whether they are dark, bright, or only grained; edges and
    halos show too.

    Parameters
    ----------
    image : (Y, X) float32
    diameter_px : float
        The typical diameter of a cell.

    Returns
    -------
    (Y, X) float32
        About 2, one for each band, where nothing is.
    """
    even = image - quadratic_surface(image, np.zeros(image.shape, np.uint8))
    smooth = [
        blur_widely(even, max(_LEAST_PX, part * diameter_px), mirrored=True) for part in _BANDS_DIAMETERS
    ]
    total = np.zeros(image.shape, np.float32)
    for fine, coarse in pairwise(smooth):
        band = fine - coarse
        usual = _SIGMA * float(np.median(np.abs(band[::2, ::2])))
        if usual > 0:
            total += (band / usual) ** 2
    return blur(total, max(1.0, _WINDOW_DIAMETERS * diameter_px), mirrored=True)


def stronger_than_noise(tops: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which objects are no freak of the noise, by the activity of their bright halves above that of the ground."""
    strong = np.count_nonzero(tops >= _FIVE_STRONG) >= 5
    return np.asarray(tops >= (_WEAK if strong else _ONE_STRONG))
