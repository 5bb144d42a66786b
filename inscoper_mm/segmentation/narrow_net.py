"""Networks of Cellpose 3 without what is zero, in the memory order that is fast on a processor.

Cellpose loads one width only (32, 64, 128, 256 channels); a narrower network is padded with zeros for that, and
computes them all. This takes them out again. Import it only where torch is there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from cellpose.resnet_torch import CPnet

_STYLE = 256
State = Mapping[str, torch.Tensor]


class FastNet(torch.nn.Module):  # type: ignore[misc]
    """A CPnet for the processor: what ``cellpose.core.run_net`` asks of one, with its 256 style values.

    Parameters
    ----------
    net : CPnet
        Without ``mkldnn``.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last).eval()
        self.nout, self.mkldnn = net.nout, False
        self.diam_mean, self.diam_labels = net.diam_mean, net.diam_labels

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return self.net.device

    def forward(self, data: Any) -> tuple[Any, Any]:
        """Flows and probability (N, 3, Y, X) of ``data`` (N, 2, Y, X), and the style (N, 256)."""
        flows, style, *_ = self.net(data.contiguous(memory_format=torch.channels_last))
        return flows.contiguous(), torch.nn.functional.pad(style, (0, _STYLE - style.shape[1]))


def narrowed(net: Any) -> FastNet:
    """The same network without its channels that are zero.

    Parameters
    ----------
    net : CPnet
        Its output stays the same but for rounding.
    """
    state = {name: value.detach().cpu() for name, value in net.state_dict().items()}
    widths = [net.nbase[0], *(used_channels(state, level) for level in range(len(net.nbase) - 1))]
    small = CPnet(widths, net.nout, net.sz, mkldnn=False)
    kept = {name: state[name][tuple(map(slice, value.shape))] for name, value in small.state_dict().items()}
    if any(_lost(state[name], value) for name, value in kept.items() if _is_weight(name, state)):
        widths, kept = list(net.nbase), state  # not a padded network: as it is
        small = CPnet(widths, net.nout, net.sz, mkldnn=False)
    small.load_state_dict(kept)
    return FastNet(small)


def used_channels(state: State, level: int) -> int:
    """How many channels of a level of the way down do anything."""
    prefix = f"downsample.down.res_down_{level}."
    last = 0
    for name, value in state.items():
        if name.startswith(prefix) and _is_weight(name, state):
            rows = value.flatten(1).abs().sum(1) + state[name.replace("weight", "bias")].abs()
            last = max(last, *(rows.nonzero().flatten() + 1).tolist(), 1)
    return last


def _is_weight(name: str, state: State) -> bool:
    """Whether these are weights of a convolution or of a full layer, not of a normalisation."""
    return name.endswith("weight") and state[name].ndim > 1


def _lost(whole: torch.Tensor, kept: torch.Tensor) -> bool:
    """Whether something else than zeros was left out."""
    return bool(whole.count_nonzero() != kept.count_nonzero())
