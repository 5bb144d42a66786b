"""How torch behaves in a script's process: one core for the camera, and a GPU if there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from inscoper_mm.errors import Finding, InvalidInput


def set_up_torch() -> int:
    """Leave one core to the camera; return the number of threads.

    Fewer threads that were asked for (``OMP_NUM_THREADS``) stay.
    """
    threads = max(1, min(int(torch.get_num_threads()), _cores() - 1))
    torch.set_num_threads(threads)
    # Said on purpose, since torch warns where nobody has chosen.
    torch.sparse.check_sparse_tensor_invariants.disable()
    return threads


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def without_denormals() -> Iterator[None]:
    """Compute denormal numbers as zero in the body, which is many times faster where a network has some.

    Only there: it holds for all that the thread computes, and other code counts on such numbers.
    """
    before = float(np.nextafter(np.zeros(1), 1)[0] * np.ones(1)[0]) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def use_gpu(wish: str) -> bool:
    """Whether to compute on a GPU.

    Raises
    ------
    InvalidInput
        If one is asked for with "yes" and torch finds none.
    """
    there = torch.cuda.is_available() or torch.backends.mps.is_available()
    if wish == "yes" and not there:
        raise InvalidInput(_no_gpu("torch finds no GPU"))
    return bool(there) and wish != "no"


def refuse_processor(wish: str, device: Any) -> None:
    """Refuse that a network was put on the processor although a GPU was asked for.

    Raises
    ------
    InvalidInput
    """
    if wish == "yes" and device.type == "cpu":
        raise InvalidInput(_no_gpu("Cellpose could not use the GPU"))


def _no_gpu(message: str) -> Finding:
    return Finding(
        f"{message} (torch {torch.__version__})",
        parameter="gpu",
        got="yes",
        allowed="auto or no on this computer",
        cure="Is the driver there, and is this a build of torch for it?",
    )


@contextmanager
def enough_memory() -> Iterator[None]:
    """Say what to do where the GPU's memory is too small for the body.

    Raises
    ------
    InvalidInput
    """
    try:
        yield
    except torch.OutOfMemoryError as reason:
        raise InvalidInput(
            Finding(
                "the memory of the GPU is too small for this",
                got=str(reason).split("\n")[0],
                cure="Give a larger diameter (images are scaled by it), smaller images, or gpu: no.",
            )
        ) from reason
