"""Make the small network that comes with inscoper-mm, from made-up images only.

    python train/train.py [--out FILE]

It takes some minutes on two cores. Every random number has a seed; on another processor or version of torch the weights
and the figures differ a little, and more where bfloat16 is not the faster kind of number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from batches import DIAMETER_PX, Example, batch, make_example
from cellpose.resnet_torch import CPnet
from padding import padded, write_compressed

WIDTHS = [2, 8, 16, 32, 64]
FIELDS, STEPS, BATCH = 400, 2600, 8
RATE, DECAY, WARM_UP = 3e-3, 1e-4, 0.05
_FLOW_SCALE = 5.0
_TOLD = 100
HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "inscoper_mm" / "segmentation" / "models" / "small_nuclei"


def main() -> None:
    """Make the fields, train, write the file."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT, help="the file to write")
    arguments.add_argument("--steps", type=int, default=STEPS)
    arguments.add_argument("--fields", type=int, default=FIELDS)
    arguments.add_argument("--threads", type=int, default=2, help="processor cores to use")
    given = arguments.parse_args()
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    examples = make_examples(given.fields, given.threads)
    print(f"{len(examples)} fields after {time.monotonic() - begin_s:.0f} s", flush=True)
    torch.set_num_threads(given.threads)
    net = train(examples, given.steps)
    state = padded(net.state_dict())
    state["diam_mean"] = torch.tensor([DIAMETER_PX])
    state["diam_labels"] = torch.tensor([float(np.mean([example.diameter_px for example in examples]))])
    write_compressed(state, given.out)
    took = f"{time.monotonic() - begin_s:.0f} s, {time.process_time() - begin_cpu_s:.0f} s of processor time here"
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB, {took}")


def make_examples(count: int, processes: int) -> list[Example]:
    """The fields of the seeds 0, 1, 2, ... that have cells."""
    with ProcessPoolExecutor(processes) as pool:
        return [example for example in pool.map(make_example, range(count), chunksize=8) if example]


def train(examples: Sequence[Example], steps: int, seed: int = 0) -> CPnet:
    """A network that has learned the flows of ``examples``."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = CPnet(WIDTHS, 3, 3, diam_mean=DIAMETER_PX).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=WARM_UP)
    net.train()
    short = half_is_faster()
    print(f"in {'bfloat16' if short else 'float32'}", flush=True)
    mean_loss, begin_s = 0.0, time.monotonic()
    for step in range(steps):
        images, targets = map(torch.from_numpy, batch(rng, examples, BATCH))
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            found = net(images.to(memory_format=torch.channels_last))[0]
        loss = loss_of(found.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean_loss += loss.item() / _TOLD
        if step % _TOLD == _TOLD - 1:
            print(f"step {step + 1}: loss {mean_loss:.3f}, {time.monotonic() - begin_s:.0f} s", flush=True)
            mean_loss = 0.0
    return net.eval()


def half_is_faster() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32: those that cannot at all are far slower."""
    took_s = {}
    for kind in (torch.float32, torch.bfloat16):
        block = torch.ones(512, 512, dtype=kind)
        for _ in range(5):
            begin_s = time.perf_counter()
            block @ block
            took_s[kind] = min(took_s.get(kind, np.inf), time.perf_counter() - begin_s)
    return took_s[torch.bfloat16] < took_s[torch.float32]


def loss_of(found: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cellpose's loss: flows five-fold, and whether a pixel is of a cell."""
    flows = torch.nn.functional.mse_loss(found[:, :2], _FLOW_SCALE * targets[:, 1:]) / 2
    cells = (targets[:, 0] > 0.5).float()
    return flows + torch.nn.functional.binary_cross_entropy_with_logits(found[:, 2], cells)


if __name__ == "__main__":
    main()
