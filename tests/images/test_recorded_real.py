"""Data sets that Micro-Manager, Magellan and pycromanager have written: every image of each is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.recorded import open_recording

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "mm"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the recorded data sets are not here")


@dataclass(frozen=True)
class Expected:
    """What is known about a set from its README and from the program that wrote it."""

    kind: str
    images: int
    shape: tuple[int, ...]
    sizes: Sizes
    channels: tuple[str | None, ...]
    mean: float


SETS = {
    "ndtiff/v2/ndtiffv2.0_test": Expected(
        "NDTiff 2 data set", 10, (32, 32), Sizes(5, 1, 2, 1), ("DAPI", "FITC"), 3276.1875
    ),
    "ndtiff/v3/ndtiffv3.0_test": Expected(
        "NDTiff 3.0 data set", 10, (32, 32), Sizes(5, 1, 2, 1), ("DAPI", "FITC"), 3276.1875
    ),
    "ndtiff/v3/12_bit_pycromanager_mda": Expected(
        "NDTiff 3.3 data set", 8, (64, 64), Sizes(4, 1, 2, 1), ("DAPI", "FITC"), 204.21484375
    ),
    "ndtiff/v3/labeled_positions_1": Expected(
        "NDTiff 3.3 data set", 3, (512, 512), Sizes(1, 3, 1, 1), ("DAPI",), 3276.1993293762207
    ),
    "ndtiff/v3/ndtiff3.2_11bit_1": Expected(
        "NDTiff 3.3 data set", 10, (64, 64), Sizes(10, 1, 1, 1), ("DAPI",), 101.828125
    ),
    "ndtiff/v3/ndtiff3.2_magellan_explore_rgb": Expected(
        "NDTiff 3.2 data set", 3, (32, 32, 3), Sizes(1, 3, 1, 1), (None,), 12.140625
    ),
    "ndtiff/v3/no_magellan_explore_no_channel": Expected(
        "NDTiff 3.3 data set", 18, (64, 64), Sizes(1, 18, 1, 1), ("DAPI",), 2108.3681640625
    ),
    "mm2_tiff/alpha_2.0_singleplane_manual": Expected(
        "Micro-Manager file set", 1, (16, 16), Sizes(1, 1, 1, 1), ("some channel",), 3276.3125
    ),
}


def test_every_set_that_is_here_is_expected() -> None:
    found = {
        path.relative_to(REAL).as_posix() for path in [*REAL.glob("ndtiff/v*/*"), *REAL.glob("mm2_tiff/*/")]
    }
    assert {name for name in found if (REAL / name).is_dir()} <= set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_every_image_of_a_set_is_read(name: str) -> None:
    if not (REAL / name).is_dir():
        pytest.skip("this set is not here")
    expected = SETS[name]
    recording = open_recording(REAL / name)
    try:
        frames = [recording.read(index) for index in recording.order]
    finally:
        recording.close()
    assert recording.kind == expected.kind
    assert len(frames) == len(set(recording.order)) == expected.images
    assert {frame.pixels.shape for frame in frames} == {expected.shape}
    assert {frame.info.sizes for frame in frames} == {expected.sizes}
    by_channel = {frame.index.channel: frame.info.channel_name for frame in frames}
    assert tuple(by_channel[at] for at in sorted(by_channel)) == expected.channels
    assert frames[-1].pixels.mean() == pytest.approx(expected.mean)


def test_labelled_positions_come_in_the_order_of_their_acquisition() -> None:
    recording = open_recording(REAL / "ndtiff/v3/labeled_positions_1")
    names = [recording.read(index).info.position_name for index in recording.order]
    recording.close()
    assert names == ["Pos2", "Pos0", "Pos1"]
    assert recording.order == (Index(0, 0), Index(0, 1), Index(0, 2))


def test_what_a_set_does_not_say_is_not_made_up() -> None:
    recording = open_recording(REAL / "ndtiff/v3/labeled_positions_1")
    info = recording.read(Index(0, 2)).info
    recording.close()
    assert (info.planned.x_um, info.planned.y_um, info.planned.z_um) == (0.0, 2.0, None)
    assert (info.real.x_um, info.real.y_um, info.real.z_um) == (None, None, None)
    assert info.pixel_to_stage_um is None
