"""The asynchronous twin of a processing function, where it does the same in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from inscoper_mm.scripting.vocabulary import twin_name


def twin_of(process: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """The twin of ``process``: the same parameters and the same answer, while the acquisition goes on.

    Write ``run_find_cells_async = twin_of(find_cells)`` below ``find_cells``.
    """

    @functools.wraps(process)
    async def twin(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(process, *args, **kwargs)

    twin.__name__ = twin.__qualname__ = twin_name(process.__name__)
    return twin
