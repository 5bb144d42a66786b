"""A narrow network in a file that Cellpose 3 opens: padded with zeros to its one width, and compressed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from cellpose.resnet_torch import CPnet

_WIDTHS = [2, 32, 64, 128, 256]
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def padded(narrow: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a network of Cellpose's width that computes the same."""
    whole = {}
    for name, like in CPnet(_WIDTHS, 3, 3).state_dict().items():
        value = narrow[name].detach().cpu()
        # Variances of nothing are 1, so that nothing is divided by 0.
        room = torch.ones_like(like) if name.endswith("running_var") else torch.zeros_like(like)
        room[tuple(map(slice, value.shape))] = value
        whole[name] = room
    return whole


def write_compressed(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights as ``torch.save`` does, but deflated: ``torch.load`` reads both. Equal weights give equal files."""
    plain = io.BytesIO()
    torch.save(state, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            fresh = zipfile.ZipInfo(entry.filename, _EARLIEST)
            target.writestr(fresh, source.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)
