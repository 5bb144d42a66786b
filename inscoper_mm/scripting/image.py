"""What a script gets for its parameter hinted ``"images"``: a sequence of images with pixels and metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from inscoper_mm.scripting.vocabulary import index_of, request_of

Array = npt.NDArray[Any]


class Image:
    """One image: ``array`` (Y, X), read-only, and ``metadata``.

    Parameters
    ----------
    metadata : dict
        As :func:`inscoper_mm.scripting.vocabulary.metadata_of` makes it; the image's own copy.
    pixels : array (Y, X), or callable
        A callable is asked for the array when it is first wanted.
    """

    __slots__ = ("_pixels", "metadata")

    def __init__(self, metadata: dict[str, Any], pixels: Array | Callable[[], Array]) -> None:
        self.metadata = metadata
        self._pixels = pixels

    @property
    def array(self) -> Array:
        """The pixels (Y, X) in the camera's dtype; read-only, so that no script can change what is stored."""
        if not isinstance(self._pixels, np.ndarray):
            self._pixels = self._pixels()
        if self._pixels.flags.writeable:
            self._pixels = self._pixels.view()
            self._pixels.flags.writeable = False
        return self._pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels, (Y, X)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        return self.array.dtype

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return _as_array(self.array, dtype, copy)

    def __repr__(self) -> str:
        index = {key: value for key, value in self.metadata.items() if key.endswith("Index")}
        return f"Image({index})"


class Images(Sequence[Image]):
    """The images of a call, in the order in which the provider asked for them.

    A sequence of one forwards ``array``, ``metadata``, ``shape`` and ``dtype`` of its image, and
    ``np.asarray`` works on it.
    """

    __slots__ = ("_images",)

    def __init__(self, images: Iterable[Image]) -> None:
        self._images = tuple(images)

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, key: int) -> Image: ...
    @overload
    def __getitem__(self, key: slice) -> Images: ...
    def __getitem__(self, key: int | slice) -> Image | Images:
        return Images(self._images[key]) if isinstance(key, slice) else self._images[key]

    @property
    def array(self) -> Array:
        """The pixels (Y, X) of the only image."""
        return self._only("array").array

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the only image."""
        return self._only("metadata").metadata

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the only image."""
        return self._only("shape").shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the only image."""
        return self._only("dtype").dtype

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return _as_array(self._only("array").array, dtype, copy)

    def __repr__(self) -> str:
        return f"Images({list(self._images)})"

    def _only(self, wanted: str) -> Image:
        if len(self._images) != 1:
            raise ValueError(
                f"This call has {len(self._images)} images, so '.{wanted}' of all of them has no meaning. "
                f"Take one, as images[0].{wanted}, go through them with 'for image in images', or stack them "
                "with np.stack([image.array for image in images])."
            )
        return self._images[0]


def image_indices(value: object) -> Any:
    """The indices of an image, or of the only one of a sequence of images; any other value as it is.

    Raises
    ------
    ValueError
        If a sequence has more than one image.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value):
        images = value if isinstance(value, Images) else [each for each in value if isinstance(each, Image)]
        if images and len(value) > 1:
            raise ValueError(f"one image is wanted, not {len(value)}: give one of them, as images[0].")
        value = images[0] if images else value
    return request_of(index_of(value.metadata)) if isinstance(value, Image) else value


def _as_array(array: Array, dtype: npt.DTypeLike | None, copy: bool | None) -> Array:
    """``array`` by the rules of ``__array__`` in numpy 2: copy=False refuses a conversion that must copy."""
    same = dtype is None or np.dtype(dtype) == array.dtype
    if copy is False and not same:
        raise ValueError(f"An image of {array.dtype} cannot be shown as {np.dtype(dtype)} without a copy.")
    if same and not copy:
        return array
    return array.astype(array.dtype if dtype is None else dtype, copy=True)
