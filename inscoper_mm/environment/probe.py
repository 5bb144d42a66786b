"""A program: imports what may be slow, broken or greedy, in a process of its own, and prints what it saw as JSON.

Run by its path, so that it starts without the package; ``probe.py imports NAME ...``, ``probe.py torch``,
``probe.py tensorflow``.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def imports(*modules: str) -> dict[str, str]:
    """The faults of the modules that cannot be imported."""
    faults = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 (whatever a broken package raises)
            faults[module] = f"{type(error).__name__}: {error}"
    return faults


def torch() -> dict[str, Any]:
    """PyTorch's version and the cards that it computes on."""
    library: Any = importlib.import_module("torch")
    cards = []
    if library.cuda.is_available():
        kind = f"ROCm {library.version.hip}" if library.version.hip else f"CUDA {library.version.cuda}"
        for number in range(library.cuda.device_count()):
            about = library.cuda.get_device_properties(number)
            cards.append(f"{about.name}, {about.total_memory / 1e9:.0f} GB, {kind}")
    backends = getattr(library.backends, "mps", None)
    if backends is not None and backends.is_available():
        cards.append("Apple graphics, MPS")
    return {"version": str(library.__version__), "graphics": cards}


def tensorflow() -> dict[str, Any]:
    """TensorFlow's version and the cards that it computes on."""
    library: Any = importlib.import_module("tensorflow")
    cards = []
    for device in library.config.list_physical_devices("GPU"):
        details = library.config.experimental.get_device_details(device)
        cards.append(str(details.get("device_name", device.name)))
    return {"version": str(library.__version__), "graphics": cards}


PROBES = {"imports": imports, "torch": torch, "tensorflow": tensorflow}


def main() -> None:
    """Look, and print one line of JSON."""
    name, *arguments = sys.argv[1:]
    try:
        seen: dict[str, Any] = {"seen": PROBES[name](*arguments)}
    except Exception as error:  # noqa: BLE001 (the border of the process)
        seen = {"fault": f"{type(error).__name__}: {error}"}
    sys.stdout.write("\n" + json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
