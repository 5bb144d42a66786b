"""A run killed at any moment: what the journal says is stored is stored, what it says is injected is there."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset, read_index
from inscoper_mm.images.tags import OURS
from inscoper_mm.output.journal import read_journal

# Stores images and answers as fast as it can, with small files so that new ones begin often; answers come late, some
# are long, some do not fit.
PROGRAM = textwrap.dedent(
    """
    import itertools, sys
    from pathlib import Path
    import numpy as np
    from inscoper_mm.images.frame import Frame, FrameInfo
    from inscoper_mm.images.index import Index, Sizes
    from inscoper_mm.images.ndtiff import ImageWriter
    from inscoper_mm.output.journal import Journal
    from inscoper_mm.output.results import ResultsWriter
    from inscoper_mm.records import Injected, Stored
    from inscoper_mm.stream import Clock, Stream

    folder = Path(sys.argv[1])
    stream = Stream(Clock())
    stream.subscribe(Journal(folder / "events.jsonl"))
    writer = ImageWriter(
        folder / "images", "killed", {"a": 1}, file_bytes=300_000, answer_bytes=20_000,
        on_stored=lambda info, file: stream.publish(Stored(info.event_id, info.index.to_dict(), file)),
        on_answered=lambda info, *rest: stream.publish(Injected(info.event_id, *rest)),
        on_error=lambda error: None,
    )
    results = ResultsWriter(folder / "results", on_error=lambda error: None)

    def answer(info, script, size):
        values = {"N": info.index.time, "LIST": [info.index.time] * size}
        results.inject(script, info, values)
        writer.answer(info, script, values)

    infos = []
    for t in itertools.count():
        info = FrameInfo(f"e{t}", Index(t), Sizes(10**6))
        infos.append(info)
        writer.put(Frame(info, np.full((61, 53), t % 65536, np.uint16)), 60.0)
        answer(info, "quick", 3)
        if t >= 5:
            answer(infos[t - 5], "late", 12_000 if t % 10 == 0 else 40 * (t % 30))
    """
)
KILLS = 10


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run_and_kill(folder: Path, lines: int) -> None:
    """Run the program, and kill it when its journal has that many lines."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)]) as process:
        try:
            deadline = time.monotonic() + 60
            while lines_of(folder / "events.jsonl") < lines:
                assert process.poll() is None, "the program ended by itself"
                assert time.monotonic() < deadline, "the program does not come on"
                time.sleep(0.001)
        finally:
            process.kill()


@pytest.mark.parametrize("kill", range(KILLS))
def test_nothing_that_was_announced_is_lost(kill: int, tmp_path: Path) -> None:
    moment = int(np.random.default_rng(kill).integers(1, 1500))
    print(f"killed at line {moment} of the journal")
    run_and_kill(tmp_path, moment)

    records = list(read_journal(tmp_path / "events.jsonl"))
    stored = [Index(**record["index"]) for record in records if record["type"] == "stored"]
    injected = [record for record in records if record["type"] == "injected"]
    assert len(records) >= moment
    assert stored == [Index(t) for t in range(len(stored))]
    beside = {
        (line["event"], line["script"]): line["values"]
        for line in read_journal(tmp_path / "results" / "metadata.jsonl")
    }

    data = open_dataset(tmp_path / "images")
    # At most the image that was being announced is in the data set without the journal saying so.
    assert len(stored) <= len(data.get_image_coordinates_list()) <= len(stored) + 1
    tags = {}
    for index in read_index(tmp_path / "images"):
        assert np.all(data.read_image(**index.ndtiff) == index.time)
        tags[f"e{index.time}"] = data.read_metadata(**index.ndtiff)
    data.close()
    for record in injected:
        event, script = record["event"], record["script"]
        assert record["where"] == ("side_file" if len(beside[event, script]["LIST"]) > 10_000 else "image")
        for key, (name, value) in zip(record["keys"], beside[event, script].items(), strict=True):
            assert key in (name, f"{script}.{name}")
            if key in tags[event][OURS].get("only_in_side_file", {}).get(script, ()):
                assert record["where"] == "side_file"
            else:
                assert tags[event][key] == value

    pages = 0
    for file in (tmp_path / "images").glob("*.tif"):
        with tifffile.TiffFile(file) as tiff:
            pages += len(tiff.pages)
    assert pages >= len(stored)


def test_plain_ndstorage_opens_it_too(tmp_path: Path) -> None:
    from ndstorage import Dataset

    run_and_kill(tmp_path, 400)
    data = Dataset(str(tmp_path / "images"))
    assert len(data.get_image_coordinates_list()) > 100
    data.close()
