"""Real particles: how far one-micrometre spheres get in water, by this project's links and by trackpy's."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from inscoper_mm.analysis.linking import Linker, LinkSettings
from inscoper_mm.analysis.msd import diffusion_coefficient, mean_squared_displacement

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tracking" / "trackpy_bulk_water"
FILES = sorted(DATA.glob("bulk_water_*.png"))
UM, STEP_S, GATE_PX, SHORTEST = 1 / 2.85, 1 / 24, 5.0, 5
# kT / (3 pi eta d) at 20 °C.
IN_THEORY = 0.43
pytestmark = [
    pytest.mark.slow,  # trackpy compiles its code first
    pytest.mark.skipif(not FILES, reason=f"the folder of real data, {DATA.name}, is not beside the checkout"),
    pytest.mark.skipif(find_spec("trackpy") is None, reason="trackpy, of the extra bench, is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of trackpy and numba, about themselves
]


def linked(film):
    """Rows (track, frame, place free of drift) of tracks that are long enough."""
    linker = Linker(LinkSettings(GATE_PX, divisions=False))
    tracks, frames, places = [], [], []
    for number, found in enumerate(film):
        links = linker.link(found, number * STEP_S)
        tracks.append(links.track_id)
        frames.append(np.full(len(found), number))
        places.append(found - links.total_drift)
    tracks, frames, places = np.concatenate(tracks), np.concatenate(frames), np.vstack(places)
    long = np.bincount(tracks)[tracks] >= SHORTEST
    return tracks[long], frames[long], UM * places[long]


def test_diffusion_coefficient(record_property):
    import pandas
    import trackpy

    trackpy.quiet()
    images = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., 0] for file in FILES]
    found = [trackpy.locate(image, 11, invert=True, minmass=200) for image in images]
    features = pandas.concat(each.assign(frame=number) for number, each in enumerate(found))
    theirs = trackpy.filter_stubs(trackpy.link(features, GATE_PX, memory=3), SHORTEST)
    theirs = trackpy.subtract_drift(theirs, trackpy.compute_drift(theirs))
    emsd = trackpy.emsd(theirs, UM, 1 / STEP_S, max_lagtime=5)
    expected = np.polyfit(emsd.index, emsd, 1)[0] / 4

    told = diffusion_coefficient(
        mean_squared_displacement(*linked([each[["x", "y"]].to_numpy() for each in found]), STEP_S)
    )
    record_property("um2_per_s", [round(float(each), 4) for each in (told.coefficient, expected)])
    assert told.coefficient == pytest.approx(expected, rel=0.15)
    assert told.coefficient == pytest.approx(IN_THEORY, rel=0.15)
    assert abs(told.coefficient - IN_THEORY) < 3 * told.error
    assert told.exponent == pytest.approx(1.0, abs=0.15)
