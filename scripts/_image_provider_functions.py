"""Image providers that scripts share: which images a call of the processing function gets.

A provider is called after every captured image. It returns one dict of indices for each wanted image; indices that a
dict leaves out are those of the new image, so that ``{}`` is the new image itself. An empty list skips the processing.
Use them in a script by ``from _image_provider_functions import fetch_zstack``.
"""

from typing import Dict, List


def fetch_image(new_image, channel_index: int = 0) -> List[Dict]:
    """Each new image of one channel.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        Which channel, counted from 0 in the order of the experiment; images of others are skipped.
    """
    if new_image.metadata.get("channelIndex", 0) != channel_index:
        return []
    return [{}]


def fetch_zstack(new_image, channel_index: int = 0) -> List[Dict]:
    """The whole z-stack of one channel, once, when its last slice was captured.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        Which channel, counted from 0 in the order of the experiment; images of others are skipped.
    """
    meta_dict = new_image.metadata
    if meta_dict.get("channelIndex", 0) != channel_index:
        return []
    current_focus = meta_dict.get("focusIndex", 0)
    size_z = meta_dict.get("focusSize", 1)
    if current_focus != size_z - 1:
        return []
    return [{"focusIndex": slice_index, "channelIndex": channel_index} for slice_index in range(size_z)]
