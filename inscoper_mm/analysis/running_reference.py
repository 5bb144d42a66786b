"""What the next image of a series is compared with, and where its content is against the first image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.resampling import Floats, moved, overlap
from inscoper_mm.analysis.translation import Translation, find_translation

Strategy = Literal["previous", "first", "template"]
Place = tuple[float, float]

# How much each new image counts in the template, once it is the mean of as many as that makes.
_SHARE = 0.15
# A template that has moved by this share of its side no longer shows the field: it begins anew.
_LARGEST_MOVE = 0.125
# The template is held against its anchor until this little of both is the same, or until its place seems to jump.
_LEAST_LIKE_ANCHOR = 0.7
_LEAST_JUMP_PX = 0.02
_CLEAN_MARGIN_PX = 7


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An image to compare the next ones with. It does not change: `after` makes the next one.

    Parameters
    ----------
    image : ndarray
        (Y, X) float32.
    at_px : (row, col)
        Where its content is, against the first image of the series.
    images : int
        How many images it is the mean of.
    anchor : ndarray
        (Y, X): the template as it was when it was last tied to the series; the first image, to begin with.
    anchor_at_px : (row, col)
        Where the anchor's content is, against the first image.
    anchored_px : float
        Expected error (root mean square) of ``anchor_at_px``; 0 for the first image.
    """

    image: Floats
    at_px: Place
    images: int
    anchor: Floats
    anchor_at_px: Place
    anchored_px: float = 0.0

    @classmethod
    def first(cls, image: npt.ArrayLike, at_px: Sequence[float] = (0.0, 0.0)) -> Reference:
        """The beginning of a series, or its resumption with an image whose content is at ``at_px``."""
        floats, place = np.array(image, np.float32), (float(at_px[0]), float(at_px[1]))
        return cls(floats, place, 1, floats, place)

    def place_px(self, translation: Translation) -> Place:
        """Where an image's content is, against the first; ``translation`` is the image's against this reference."""
        return self.at_px[0] + translation.row_px, self.at_px[1] + translation.col_px

    def after(
        self, image: npt.ArrayLike, translation: Translation, strategy: Strategy = "template"
    ) -> Reference:
        """The reference for the image after ``image``.

        Parameters
        ----------
        image : array (Y, X)
        translation : Translation
            Of ``image`` against this reference. One that is not trusted changes nothing.
        strategy : {"template", "previous", "first"}
            "first" keeps the first image: no error adds up, but what looks different after hours is no longer found.
            "previous" takes ``image``: it follows every change, but the errors of all images add up (a random walk).
            "template" takes a running mean of the images, each laid onto it: it follows slow change and has less
            noise than one image. Where its own content is, is not summed up but measured, against an anchor that
            stays for as long as the template looks like it. So errors add up only with each new anchor, not with
            each image.
        """
        if strategy == "first" or not translation.trusted:
            return self
        grey = np.asarray(image, np.float32)
        far_px = math.hypot(translation.row_px, translation.col_px)
        if strategy == "previous" or far_px > _LARGEST_MOVE * min(grey.shape):
            error_px = math.hypot(self.anchored_px, translation.error_px)
            place = self.place_px(translation)
            return Reference(grey.copy(), place, 1, grey.copy(), place, error_px)
        share = max(_SHARE, 1 / (self.images + 1))
        return self._tied(_mixed(self.image, grey, translation, share), share * translation.error_px)

    def _tied(self, template: Floats, error_px: float) -> Reference:
        """``template`` with its place measured against the anchor; or as a new anchor, where the old one fails."""
        found = find_translation(self.anchor, template)
        place = self.anchor_at_px[0] + found.row_px, self.anchor_at_px[1] + found.col_px
        # What was laid onto the template has hardly moved it. If it seems so, its content has changed too much.
        moved_px = math.hypot(place[0] - self.at_px[0], place[1] - self.at_px[1])
        alike = found.trusted and found.confidence >= _LEAST_LIKE_ANCHOR
        if alike and moved_px <= _LEAST_JUMP_PX + 3 * math.hypot(found.error_px, error_px):
            anchor, anchor_at, anchored = self.anchor, self.anchor_at_px, self.anchored_px
        else:
            place = self.at_px
            anchor, anchor_at, anchored = template, place, math.hypot(self.anchored_px, error_px)
        return Reference(template, place, self.images + 1, anchor, anchor_at, anchored)


def _mixed(template: Floats, image: Floats, translation: Translation, share: float) -> Floats:
    """``template`` with a ``share`` of ``image``, laid onto it and made as bright as it."""
    whole = round(translation.row_px), round(translation.col_px)
    rest = translation.row_px - whole[0], translation.col_px - whole[1]
    here, there = overlap(template.shape, whole)
    inner = slice(_CLEAN_MARGIN_PX, -_CLEAN_MARGIN_PX)
    laid, old = moved(image, rest)[there][inner, inner], template[here][inner, inner]
    mixed = template.copy()
    # Equal means and brightness: bleaching is no reason to fade.
    gain = np.float32(1 / translation.gain) if translation.gain > 0 else np.float32(1)
    bright = gain * (laid - laid.mean()) + old.mean()
    mixed[here][inner, inner] = np.float32(1 - share) * old + np.float32(share) * bright
    return mixed
