"""The data set: written by one thread, read by ndstorage, tifffile and ourselves, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.errors import StorageError
from inscoper_mm.images import blocks
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset, read_entry, read_index
from inscoper_mm.images.tags import OURS, from_tags

MakeFrame = Callable[..., Frame]
OpenWriter = Callable[..., Any]


def put_all(writer: Any, frames: list[Frame]) -> None:
    for frame in frames:
        writer.put(frame, 10.0)


def by_ndstorage(folder: Path) -> dict[Index, tuple[np.ndarray, dict[str, Any]]]:
    data = open_dataset(folder)
    try:
        return {
            Index.from_ndtiff(axes): (data.read_image(**axes), data.read_metadata(**axes))
            for axes in data.get_image_coordinates_list()
        }
    finally:
        data.close()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_reader_reads_every_image(
    dtype: Any, open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path
) -> None:
    frames = [
        make_frame(t, p, 0, z, dtype=dtype, shape=(37, 51))
        for t in range(2)
        for p in range(2)
        for z in (0, 2)
    ]
    opened = open_writer()
    put_all(opened.writer, frames)
    opened.writer.close()

    assert [index for index, _ in opened.told.stored] == [frame.index for frame in frames]
    by_nd = by_ndstorage(tmp_path / "images")
    index = read_index(tmp_path / "images")
    file = tmp_path / "images" / opened.told.stored[0][1]
    with tifffile.TiffFile(file) as tiff:
        by_tifffile = [page.asarray() for page in tiff.pages]
        assert [page.tags["BitsPerSample"].value for page in tiff.pages] == [dtype(0).itemsize * 8] * len(
            frames
        )
        assert tiff.pages[0].tags[51123].value[OURS]["event"] == frames[0].info.event_id
        top, below = tiff.pages[0].tags["XResolution"].value
        assert 1e4 / (top / below) == pytest.approx(0.65)
    assert len(by_tifffile) == len(by_nd) == len(index) == len(frames)
    for frame, page in zip(frames, by_tifffile, strict=True):
        pixels, tags = by_nd[frame.index]
        ours, our_tags = read_entry(tmp_path / "images", index[frame.index])
        for got in (page, pixels, ours, opened.writer.read(frame.index)[0]):
            assert got.dtype == dtype
            assert np.array_equal(got, frame.pixels)
        assert tags == our_tags
        assert from_tags(tags) == frame.info
        assert (tags["Width"], tags["Height"]) == (51, 37)


def test_opening_says_nothing_and_keeps_the_summary(
    open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = open_writer()
    opened.writer.put(make_frame(0), 10.0)
    opened.writer.close()
    data = open_dataset(tmp_path / "images")
    assert data.summary_metadata == {"UserData": {"a": 1}}
    assert np.asarray(data.as_array()).shape[-2:] == (48, 64)
    data.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a/b: c*", "../up", "µ" * 300, "", "x" * 300])
def test_any_name_becomes_a_file_name(
    name: str, open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path
) -> None:
    opened = open_writer(name=name, file_bytes=30_000)
    put_all(opened.writer, [make_frame(t) for t in range(100)])
    opened.writer.close()
    assert opened.told.errors == []
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,120}", file) for _, file in opened.told.stored)
    assert len(by_ndstorage(tmp_path / "images")) == 100
    assert {path.name for path in tmp_path.iterdir()} == {"images"}


def test_a_data_set_without_images_opens(open_writer: OpenWriter, tmp_path: Path) -> None:
    open_writer().writer.close()
    assert by_ndstorage(tmp_path / "images") == {}


def test_answers_are_in_the_images(open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path) -> None:
    opened = open_writer()
    frames = [make_frame(t) for t in range(5)]
    for frame in frames:
        opened.writer.put(frame, 10.0)
        opened.writer.answer(frame.info, "a", {"N": frame.index.time, "ROI": [[1, 2]] * 50})
    # Late ones, out of order, and a second script on the same image.
    for frame in reversed(frames):
        opened.writer.answer(frame.info, "b", {"N": -1, "M": "x" * frame.index.time})
    opened.writer.close()
    assert [(index.time, script, where) for index, script, _, where in opened.told.answered] == [
        *((t, "a", "image") for t in range(5)),
        *((t, "b", "image") for t in reversed(range(5))),
    ]
    by_nd = by_ndstorage(tmp_path / "images")
    with tifffile.TiffFile(next((tmp_path / "images").glob("*.tif"))) as tiff:
        for frame, page in zip(frames, tiff.pages, strict=True):
            pixels, tags = by_nd[frame.index]
            assert np.array_equal(pixels, frame.pixels)
            assert tags == page.tags[51123].value == opened.writer.read(frame.index)[1]
            assert (tags["N"], tags["b.N"], tags["M"]) == (frame.index.time, -1, "x" * frame.index.time)
            assert from_tags(tags) == frame.info


def test_an_answer_that_does_not_fit(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    opened = open_writer(answer_bytes=100)
    frame = make_frame(0)
    opened.writer.put(frame, 10.0)
    opened.writer.answer(frame.info, "a", {"N": 3, "ROI": list(range(1000))})
    opened.writer.close()
    assert opened.told.answered == [(Index(0), "a", ("N", "ROI"), "side_file")]
    tags = opened.writer.read(Index(0))[1]
    assert tags["N"] == 3
    assert tags[OURS]["only_in_side_file"] == {"a": ["ROI"]}


def test_files_roll_over_and_late_answers_reach_older_ones(
    open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path
) -> None:
    opened = open_writer(file_bytes=40_000)
    frames = [make_frame(t) for t in range(20)]
    put_all(opened.writer, frames)
    for frame in frames:
        opened.writer.answer(frame.info, "a", {"N": frame.index.time})
    opened.writer.close()
    files = sorted((tmp_path / "images").glob("*.tif"))
    assert len(files) > 3
    assert all(file.stat().st_size < 45_000 for file in files)
    by_nd = by_ndstorage(tmp_path / "images")
    for frame in frames:
        assert np.array_equal(by_nd[frame.index][0], frame.pixels)
        assert by_nd[frame.index][1]["N"] == frame.index.time
    pages = 0
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            pages += len(tiff.pages)
    assert pages == len(frames)


def test_readable_at_every_moment(open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path) -> None:
    """After each announcement, seen from the writer's own thread: nothing was left in a buffer."""
    seen: list[tuple[int, int, int]] = []

    def look(*_: Any) -> None:
        folder = tmp_path / "images"
        with tifffile.TiffFile(next(folder.glob("*.tif"))) as tiff:
            seen.append((len(by_ndstorage(folder)), len(read_index(folder)), len(tiff.pages)))

    opened = open_writer(on_stored=look)
    put_all(opened.writer, [make_frame(t) for t in range(6)])
    opened.writer.close()
    assert opened.told.errors == []
    assert seen == [(n, n, n) for n in range(1, 7)]


def test_index_entries_do_not_lie_across_pages(
    open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path
) -> None:
    opened = open_writer()
    put_all(opened.writer, [make_frame(t, shape=(2, 2)) for t in range(300)])
    opened.writer.close()
    entries = list(read_index(tmp_path / "images").values())
    ends = [entry.index_at + 12 for entry in entries]
    assert len(entries) == 300
    assert ends[-1] > 3 * 4096
    for start, end in zip([0, *ends], ends, strict=False):
        assert start // 4096 == (end - 1) // 4096


def test_pointers_to_tags_do_not_lie_across_pages(tmp_path: Path) -> None:
    for length in range(3850, 3990):  # of the summary: moves the first image over a page's end
        path = tmp_path / f"{length}.tif"
        with blocks.ImageFile.create(path, b" " * length) as file:
            entry = file.append(np.zeros((2, 2), np.uint16), b"{}")
        assert entry.pointer_at // 4096 == (entry.pointer_at + 7) // 4096


@pytest.mark.parametrize("cut", [1, 7, 30, 60])
def test_a_torn_index_loses_its_last_entry_only(
    cut: int, open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path
) -> None:
    opened = open_writer()
    put_all(opened.writer, [make_frame(t) for t in range(4)])
    opened.writer.close()
    index = tmp_path / "images" / "NDTiff.index"
    index.write_bytes(index.read_bytes()[:-cut])
    expected = {Index(t) for t in range(3)}
    assert set(read_index(tmp_path / "images")) == expected
    assert set(by_ndstorage(tmp_path / "images")) == expected


def test_reading_while_writing(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    writer = open_writer().writer
    frames = [make_frame(t, shape=(200, 300)) for t in range(40)]
    wrong: list[Index] = []

    def read(seed: int) -> None:
        for t in np.random.default_rng(seed).integers(0, 40, 60).tolist():
            pixels, tags = writer.read(Index(t))
            if not np.array_equal(pixels, frames[t].pixels) or from_tags(tags) != frames[t].info:
                wrong.append(Index(t))

    put_all(writer, frames)
    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for frame in frames:
        writer.answer(frame.info, "a", {"N": [frame.index.time] * 100})
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_a_waiting_image_can_be_read(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    go = threading.Event()
    opened = open_writer(on_stored=lambda *_: go.wait(150))
    frames = [make_frame(t) for t in range(3)]
    put_all(opened.writer, frames)
    got = opened.writer.read_frame(Index(2))
    go.set()
    assert got.info == frames[2].info
    assert got.pixels is frames[2].pixels


def test_what_was_read_is_read_only(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    writer = open_writer().writer
    writer.put(make_frame(0), 10.0)
    writer.close()
    with pytest.raises(ValueError, match="read-only"):
        writer.read(Index(0))[0][0, 0] = 1


BAD_PIXELS: dict[str, np.ndarray] = {
    "float": np.zeros((4, 4)),
    "32 bit": np.zeros((4, 4), np.uint32),
    "colour": np.zeros((4, 4, 3), np.uint8),
    "other byte order": np.zeros((4, 4), ">u2"),
    "empty": np.zeros((0, 4), np.uint16),
}


@pytest.mark.parametrize("name", BAD_PIXELS)
def test_pixels_that_cannot_be_stored_are_refused(
    name: str, open_writer: OpenWriter, make_frame: MakeFrame
) -> None:
    opened = open_writer()
    good = make_frame(0)
    with pytest.raises(StorageError, match="t001_p000_c0_z000: only grey images"):
        opened.writer.put(Frame(make_frame(1).info, BAD_PIXELS[name]), 1.0)
    opened.writer.put(good, 1.0)
    opened.writer.close()
    assert [index for index, _ in opened.told.stored] == [Index(0)]


def test_a_cut_out_of_a_larger_array(open_writer: OpenWriter, make_frame: MakeFrame, tmp_path: Path) -> None:
    whole = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    cut = whole[10:40:2, 5:60].T
    writer = open_writer().writer
    writer.put(Frame(make_frame(0).info, cut), 1.0)
    writer.close()
    assert np.array_equal(by_ndstorage(tmp_path / "images")[Index(0)][0], cut)


def test_refusals(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    writer = open_writer().writer
    frame = make_frame(0)
    with pytest.raises(StorageError, match="'a' answers for an image that was not stored"):
        writer.answer(frame.info, "a", {})
    writer.put(frame, 1.0)
    with pytest.raises(StorageError, match="t000_p000_c0_z000 is stored already"):
        writer.put(frame, 1.0)
    with pytest.raises(StorageError, match="t009_p000_c0_z000 is not in the data set"):
        writer.read(Index(9))
    writer.close()
    with pytest.raises(StorageError, match="is closed"):
        writer.put(make_frame(1), 1.0)
    with pytest.raises(StorageError, match="is closed"):
        writer.answer(frame.info, "a", {})
    with pytest.raises(StorageError, match="holds a data set already"):
        open_writer()


def test_no_data_set(tmp_path: Path) -> None:
    for read in (read_index, open_dataset):
        with pytest.raises(StorageError, match=r"no NDTiff\.index"):
            read(tmp_path)


def test_a_slow_disk_is_waited_for_with_a_limit(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    go = threading.Event()
    opened = open_writer(on_stored=lambda *_: go.wait(150), queue_bytes=2 * 48 * 64 * 2)
    frames = [make_frame(t) for t in range(6)]
    put_all(opened.writer, frames[:3])  # one is held in on_stored, two wait
    with pytest.raises(StorageError, match="the disk is too slow"):
        opened.writer.put(frames[3], 0.05)
    assert opened.writer.waiting == 2
    threading.Timer(0.1, go.set).start()
    opened.writer.put(frames[3], 10.0)
    opened.writer.close()
    assert opened.writer.stored == 4


def failing_write(after_bytes: int) -> Callable[..., None]:
    """As a disk that is full after ``after_bytes``: what fits is written, then the system's own error."""
    left = [after_bytes]

    def write(handle: Any, data: Any) -> None:
        data = memoryview(data)
        part = data[: left[0]]
        left[0] -= len(part)
        handle.write(part)
        if len(part) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    return write


# Where the disk becomes full: in the directory, the pixels, and the tags of an image; pixels are 6144 bytes.
@pytest.mark.parametrize("after_bytes", [20, 500, 4000, 20_000, 20_500, 24_000, 26_500])
def test_a_full_disk(
    after_bytes: int,
    open_writer: OpenWriter,
    make_frame: MakeFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "write_all", failing_write(after_bytes))
    opened = open_writer()
    frames = [make_frame(t) for t in range(10)]
    with pytest.raises(OSError, match="No space left") as caught:
        for frame in frames:
            opened.writer.put(frame, 10.0)
            opened.writer.answer(frame.info, "a", {"N": frame.index.time})
        opened.writer.close()
        opened.writer.put(make_frame(11), 10.0)
    opened.writer.close()
    assert opened.told.errors == [caught.value]
    assert opened.writer.waiting > 0
    announced = {index for index, _ in opened.told.stored}
    by_nd = by_ndstorage(tmp_path / "images")
    assert announced <= set(by_nd)
    for index in announced:
        assert np.array_equal(by_nd[index][0], frames[index.time].pixels)
    for index, _, _, _ in opened.told.answered:
        assert by_nd[index][1]["N"] == index.time
    for file in (tmp_path / "images").glob("*.tif"):
        if announced:
            with tifffile.TiffFile(file) as tiff:
                assert len(tiff.pages) >= len(announced)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX thing")
def test_the_system_s_own_limit(tmp_path: Path) -> None:
    """The same with the real system call failing: a process that may write files of 300 kB only."""
    program = textwrap.dedent(
        """
        import json, resource, sys
        from pathlib import Path
        import numpy as np
        from inscoper_mm.images.frame import Frame, FrameInfo
        from inscoper_mm.images.index import Index, Sizes
        from inscoper_mm.images.ndtiff import ImageWriter

        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        stored, errors = [], []
        writer = ImageWriter(Path(sys.argv[1]), "run", {}, on_stored=lambda info, file: stored.append(info.index.time),
                             on_answered=lambda *_: None, on_error=errors.append)
        raised = None
        try:
            for time in range(20):
                pixels = np.full((100, 200), time, np.uint16)
                writer.put(Frame(FrameInfo(f"e{time}", Index(time), Sizes(20)), pixels), 10.0)
            writer.close()
            writer.put(Frame(FrameInfo("e21", Index(21), Sizes(20)), pixels), 10.0)
        except OSError as error:
            raised = error
        writer.close()
        print(json.dumps({"stored": stored, "errno": raised.errno, "same": errors == [raised]}))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "images")], capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    assert told["errno"] == errno.EFBIG
    assert told["stored"] == list(range(7))
    by_nd = by_ndstorage(tmp_path / "images")
    assert [int(by_nd[Index(t)][0][0, 0]) for t in range(7)] == list(range(7))


def test_an_error_in_a_callback_ends_the_writer_with_it(
    open_writer: OpenWriter, make_frame: MakeFrame
) -> None:
    boom = RuntimeError("the journal is full")

    def stored(*_: Any) -> None:
        raise boom

    opened = open_writer(on_stored=stored)
    opened.writer.put(make_frame(0), 1.0)
    opened.writer.close()
    assert opened.told.errors == [boom]
    with pytest.raises(RuntimeError) as caught:
        opened.writer.put(make_frame(1), 1.0)
    assert caught.value is boom


def test_a_forgotten_writer_does_not_keep_the_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from inscoper_mm.images.ndtiff import ImageWriter\n"
        "none = lambda *_: None\n"
        "ImageWriter(Path(sys.argv[1]), 'run', {}, on_stored=none, on_answered=none, on_error=none)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "images")], timeout=150)
    assert done.returncode == 0


def test_nothing_grows_but_one_small_entry_per_image(open_writer: OpenWriter, make_frame: MakeFrame) -> None:
    opened = open_writer()
    for t in range(200):
        frame = make_frame(t, shape=(8, 8))
        opened.writer.put(frame, 10.0)
        opened.writer.answer(frame.info, "a", {"N": t})
    opened.writer.close()
    held = {
        name: len(value)
        for name, value in vars(opened.writer).items()
        if isinstance(value, dict | list) or type(value).__name__ == "deque"
    }
    assert held == {"_jobs": 0, "_pending": 0, "_entries": 200}
    kept = [len(value) for value in vars(opened.writer._data).values() if isinstance(value, dict | list)]
    assert kept == []
    assert sum(map(sys.getsizeof, opened.writer._entries[Index(7)])) + sys.getsizeof(Index(7)) < 500
