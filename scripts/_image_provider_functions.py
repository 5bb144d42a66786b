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


def fetch_channels(new_image, channel_index: int = 0, last_channel_index: int = -1) -> List[Dict]:
    """All channels of a time point, position and slice, once, when the last of them was captured.

    The channels of one place are captured in the order of the experiment, whatever the order of the axes: others may
    come between them, and those that are no longer in memory are read back. What cannot be gathered is told: an image
    that was skipped, and a channel that is not taken at each time point (acquire_every), are errors of the request;
    leave such a channel out with last_channel_index. Images that scripts have added to the plan are left alone.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that comes first in the call, counted from 0 in the order of the experiment; the others follow.
    last_channel_index : int
        The last channel that is gathered; -1 is the last of the experiment.
    """
    meta_dict = new_image.metadata
    if meta_dict.get("addedBy") is not None:
        return []
    size = meta_dict.get("channelSize", 1)
    last = size - 1 if last_channel_index < 0 else last_channel_index
    if not 0 <= channel_index <= last < size:
        raise ValueError(
            f"Channel {channel_index} cannot be gathered with those up to channel {last}: the experiment has {size} "
            "channels, counted from 0."
        )
    if meta_dict.get("channelIndex", 0) != last:
        return []
    others = [channel for channel in range(last + 1) if channel != channel_index]
    return [{"channelIndex": channel} for channel in (channel_index, *others)]
