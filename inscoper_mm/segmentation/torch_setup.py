"""How torch and Cellpose behave in a script's process: one core for the camera, a GPU if there is one, no downloads."""

from __future__ import annotations

import os
from typing import Any

import torch

from inscoper_mm.errors import Finding, InvalidInput


def set_up_torch() -> int:
    """Leave one core to the camera and compute denormal numbers as zero; return the number of threads."""
    threads = max(1, (os.cpu_count() or 1) - 1)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    # Said on purpose, since torch warns where nobody has chosen.
    torch.sparse.check_sparse_tensor_invariants.disable()
    return threads


def refuse_downloads(utils: Any) -> None:
    """Keep ``cellpose.utils`` from downloading: it has no time limit, and stops checking certificates for everybody."""

    def refuse(url: str, *_: object, **__: object) -> None:
        raise InvalidInput(
            Finding(
                "Cellpose wants to download a file, which is never done in a run",
                got=url,
                cure="Download it beforehand and give its path.",
            )
        )

    utils.download_url_to_file = refuse


def use_gpu(wish: str) -> bool:
    """Whether to compute on a GPU.

    Raises
    ------
    InvalidInput
        If one is asked for with "yes" and torch finds none.
    """
    there = torch.cuda.is_available() or torch.backends.mps.is_available()
    if wish == "yes" and not there:
        raise InvalidInput(
            Finding(
                f"torch {torch.__version__} finds no GPU",
                parameter="gpu",
                got="yes",
                allowed="auto or no on this computer",
                cure="Is the driver there, and is this a build of torch for it?",
            )
        )
    return bool(there) and wish != "no"
