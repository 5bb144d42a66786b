"""The computer: processor, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from inscoper_mm.environment.facts import Machine, Output


def this_machine() -> Machine:
    """The computer that this runs on."""
    total, free = _memory()
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return Machine(system, _processor(), os.cpu_count() or 1, total, free)


def output_folder(asked: Path) -> Output:
    """Whether a run can be written to ``asked``, which need not exist yet."""
    folder = asked.resolve()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return Output(str(asked), str(folder), shutil.disk_usage(folder).free, _writable(folder))


def _writable(folder: Path) -> bool:
    # os.access knows nothing of network drives and of the rights that Windows gives.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if sys.platform == "win32":
    import ctypes

    class _MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page", "page_free", "virtual")),
            *((name, ctypes.c_ulonglong) for name in ("virtual_free", "extended_free")),
        )

    def _memory() -> tuple[int | None, int | None]:
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return None, None
        return int(status.total), int(status.free)

else:

    def _memory() -> tuple[int | None, int | None]:
        """All and free bytes; free as programs can have them, caches of files included."""
        total: int | None = None
        if "SC_PHYS_PAGES" in os.sysconf_names:
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        info = Path("/proc/meminfo")
        if info.is_file():
            for line in info.read_text(encoding="utf-8").splitlines():
                if line.startswith("MemAvailable:"):
                    return total, int(line.split()[1]) * 1024
        return total, None
