"""A program: asks the Core and device adapters for their interface numbers, in a process of its own.

Adapters are foreign libraries; loading one in the process of a run could disturb the devices. Run by its path:
``adapter_probe.py LIBRARY ...`` prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any


def core_interface() -> dict[str, Any]:
    """The version of pymmcore and the number of its device interface."""
    import pymmcore

    number = pymmcore.CMMCore.getMMDeviceDeviceInterfaceVersion()
    return {"pymmcore": str(pymmcore.__version__), "interface": int(number)}


def library_interface(path: str) -> dict[str, Any]:
    """The device interface of one adapter; the library initialises no device when it is loaded."""
    try:
        return {"interface": int(ctypes.CDLL(path).GetDeviceInterfaceVersion())}
    except (OSError, AttributeError) as error:
        return {"fault": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Look, and print one line of JSON."""
    seen: dict[str, Any] = {path: library_interface(path) for path in sys.argv[1:]}
    try:
        seen["core"] = core_interface()
    except (ImportError, AttributeError) as error:
        seen["core"] = {"fault": f"{type(error).__name__}: {error}"}
    sys.stdout.write("\n" + json.dumps({"seen": seen}) + "\n")


if __name__ == "__main__":
    main()
