"""What a script that follows something knows after an image, on disk: after a restart, or for a call again, it goes on.

The host keeps a call's ``context.state`` only if it has accepted the answer. So the state names the image up to which
things are known, and here a file is kept for that image and for the one before it. A call that came to nothing has
left a file that nobody names.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.output.files import publish, safe_name, unfinished

Arrays = dict[str, npt.NDArray[Any]]
_KNOWN_UP_TO = "known_up_to"
_BEFORE = "before"
_NUMBERED_FROM = "numbered_from"
_NEXT_NUMBER = "next_number"


class KeptKnowledge:
    """What is known after an image, by stage position.

    Parameters
    ----------
    name : str
        The folder of the files, in that of the script.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def before(self, folder: Path, state: Mapping[str, Any], position: int, frame: str) -> Arrays | None:
        """What was known before the image ``frame``; None if it is the first one of its position.

        Parameters
        ----------
        folder : Path
            The script's own.
        state : mapping
            ``context.state`` of the position.
        position : int
        frame : str
            A name that no other image has.

        Raises
        ------
        OSError
            If the file that ``state`` names cannot be read.
        """
        last = state.get(_KNOWN_UP_TO)
        if last == frame:
            # This image was taken in already, and comes again.
            last = state.get(_BEFORE)
        if last is None:
            return None
        with np.load(self._path(folder, position, last)) as saved:
            return {name: saved[name] for name in saved.files}

    def keep(
        self,
        folder: Path,
        state: MutableMapping[str, Any],
        position: int,
        frame: str,
        known: Mapping[str, npt.NDArray[Any]],
    ) -> None:
        """Keep what is known after the image ``frame``, and say so in ``state``.

        Raises
        ------
        OSError
        """
        last, former = state.get(_KNOWN_UP_TO), state.get(_BEFORE)
        before = former if last == frame else last
        path = self._path(folder, position, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path).open("wb") as file:
            np.savez(file, **dict(known))
        publish(path)
        state[_KNOWN_UP_TO], state[_BEFORE] = frame, before
        # Nobody knows yet whether the answer is accepted: until then, the state is the one that was.
        names = {frame, last, former} - {None}
        needed = {self._path(folder, position, str(name)) for name in names}
        for old in path.parent.glob(f"p{position:03d}_*.npz"):
            if old not in needed:
                old.unlink(missing_ok=True)

    def _path(self, folder: Path, position: int, frame: str) -> Path:
        return folder / self._name / f"p{position:03d}_{safe_name(frame)}.npz"


def first_number(state: Mapping[str, Any], run_state: Mapping[str, Any], frame: str) -> int:
    """The number of the next new thing in the image ``frame``, unique in the run; for the same image the same."""
    again = state.get(_KNOWN_UP_TO) == frame
    return int(state[_NUMBERED_FROM] if again else run_state.get(_NEXT_NUMBER, 1))


def keep_numbers(
    state: MutableMapping[str, Any], run_state: MutableMapping[str, Any], first: int, following: int
) -> None:
    """Say that the numbers from ``first`` on are given away, up to the one before ``following``."""
    state[_NUMBERED_FROM] = first
    run_state[_NEXT_NUMBER] = max(following, run_state.get(_NEXT_NUMBER, 1))
