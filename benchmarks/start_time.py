"""From starting the command to the first stored image."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_LIMIT_S = 120.0
_COMMAND = [str(Path(sys.executable).with_name("inscoper-mm")), "run"]


def start_to_first_image(config: Path, rounds: int) -> list[float]:
    """Seconds until the journal says that the first image is stored: once per round, in a new process."""
    return [_one_start(config) for _ in range(rounds)]


def _one_start(config: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="inscoper_mm_bench_") as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*_COMMAND, str(config), "--output", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not _first_stored(Path(folder)):
                if process.poll() is not None or time.perf_counter() - begin > _LIMIT_S:
                    raise RuntimeError(f"{config.name} stored no image; exit status {process.returncode}.")
                time.sleep(0.005)
            seconds = time.perf_counter() - begin
            process.wait(_LIMIT_S)
        finally:
            process.kill()
            process.wait()
    return seconds


def _first_stored(output: Path) -> bool:
    return any('"stored"' in journal.read_text("utf-8") for journal in output.glob("*/events.jsonl"))
