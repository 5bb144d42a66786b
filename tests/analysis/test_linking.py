"""Linking of simulated cells, of which all tracks are known, and of what a linker should not stumble over."""

import io
from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.analysis.drift_votes import Drift
from inscoper_mm.analysis.linking import Linker, LinkSettings, LinkState
from inscoper_mm.errors import InvalidInput
from inscoper_mm.testing.simulated_tracks import (
    SCENARIOS,
    division_recall,
    found_edges,
    gap_recall,
    link_score,
    simulate,
    true_edges,
)

GATE = 16.0


def linked(film, *, areas=True, settings=None, scale=1.0):
    """The links of all frames, and the edges that they are."""
    linker = Linker(settings or LinkSettings(GATE))
    links = [
        linker.link(frame.positions_px * scale, float(number), areas=frame.areas_px if areas else None)
        for number, frame in enumerate(film.frames)
    ]
    parents = {
        int(child): int(parent)
        for each in links
        for child, parent in zip(each.track_id, each.parent_id, strict=True)
        if parent
    }
    return links, found_edges([each.track_id for each in links], parents)


def saved(state):
    """A state that was written to a file and read again."""
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())
    file.seek(0)
    return LinkState.from_arrays(np.load(file))


def grid(side, spacing=30.0):
    """side x side places, none exactly in its row."""
    places = np.stack(np.meshgrid(*[np.arange(side) * spacing] * 2), axis=-1).reshape(-1, 2)
    return places + np.random.default_rng(7).uniform(-9, 9, places.shape)


# The best of laptrack and trackpy has, in the same films and with drift taken out for them: .993, .916, .986, .982.
@pytest.mark.parametrize(
    ("name", "least", "gaps", "divisions"),
    [
        ("easy", 0.990, 0.90, 0.85),
        ("crowded", 0.925, 0.75, 0.45),
        ("brownian", 0.980, 0.80, 0.80),
        ("drift", 0.985, 0.90, 0.75),
    ],
)
def test_hundred_cells(name, least, gaps, divisions, record_property):
    scores = []
    for seed in (0, 1):
        film = simulate(replace(SCENARIOS[name], cells=100, frames=20), seed)
        true = true_edges(film)
        _, found = linked(film)
        scores.append([link_score(true, found), gap_recall(true, found), division_recall(film, true, found)])
    score = np.mean(scores, axis=0)
    record_property("lnk_gaps_divisions", [round(float(each), 4) for each in score])
    assert score[0] >= least
    assert score[1] >= gaps
    assert score[2] >= divisions


@pytest.mark.slow
@pytest.mark.parametrize("cells", [1000, 5000])
def test_stage_jumps_of_more_than_a_spacing(cells):
    film = simulate(replace(SCENARIOS["drift"], cells=cells, frames=15, jump_chance=0.3), seed=4)
    true = true_edges(film)
    links, found = linked(film)
    assert link_score(true, found) >= 0.98
    steps = np.diff([frame.drift_px for frame in film.frames], axis=0)
    told = np.array([each.drift.by for each in links[1:]])
    assert np.linalg.norm(steps, axis=1).max() > 24
    assert np.linalg.norm(told - steps, axis=1).max() < 1.5


def test_a_jump_is_taken_out_and_told():
    film = simulate(replace(SCENARIOS["drift"], cells=200, frames=8, jump_chance=1.0), seed=1)
    links, found = linked(film)
    total = np.array([each.total_drift for each in links])
    true = np.array([frame.drift_px for frame in film.frames])
    assert np.abs(total - true).max() < 2
    assert all(each.drift.source == "cells" for each in links[1:])
    assert link_score(true_edges(film), found) > 0.97
    settings = LinkSettings(GATE, drift=False)
    off, lost = linked(film, settings=settings)
    assert not any(each.total_drift.any() for each in off)
    assert link_score(true_edges(film), lost) < 0.5


def test_prediction_helps_persistent_cells_and_does_not_hurt_brownian_ones(monkeypatch):
    """Against the same linker that expects cells where they were."""

    def scores(name):
        film = simulate(replace(SCENARIOS[name], cells=300, frames=15), seed=5)
        return link_score(true_edges(film), linked(film)[1])

    with_it = {name: scores(name) for name in ("crowded", "brownian")}
    monkeypatch.setattr("inscoper_mm.analysis.linking._expected", lambda state, time_s: state.position)
    without = {name: scores(name) for name in ("crowded", "brownian")}
    assert with_it["crowded"] > without["crowded"] + 0.01
    assert with_it["brownian"] > without["brownian"] - 0.002


def test_areas_tell_daughters_from_neighbours():
    film = simulate(replace(SCENARIOS["easy"], cells=300, frames=20, divisions=0.01), seed=2)
    true = true_edges(film)
    with_areas, without = (
        division_recall(film, true, linked(film, areas=areas)[1]) for areas in (True, False)
    )
    assert with_areas >= 0.9
    assert with_areas > without


@pytest.mark.parametrize(
    ("areas", "lights", "born"),
    [
        ((100, 52, 50), None, True),
        ((100, 100, 95), None, False),
        (None, (100, 52, 50), True),
        (None, (100, 100, 95), False),
        # Nuclei that divide are condensed: the areas do not add up, the light does.
        ((95, 94, 83), (36.7, 18.5, 21.2), True),
        (None, None, True),
    ],
)
def test_who_is_a_daughter(areas, lights, born):
    linker = Linker(LinkSettings(10.0))
    far = [[200.0, 200.0]]
    columns = {"areas": areas, "intensities": lights}

    def column(rows):
        return {
            name: None if values is None else [values[row] for row in rows] + [70.0]
            for name, values in columns.items()
        }

    first = linker.link([[50.0, 50.0], *far], 0.0, **column([0]))
    second = linker.link([[46.0, 50.0], [54.5, 50.0], *far], 1.0, **column([1, 2]))
    mother = first.track_id[0]
    assert second.track_id[2] == first.track_id[1]
    if born:
        assert second.parent_id.tolist() == [mother, mother, 0]
        assert len({mother, *second.track_id[:2].tolist()}) == 3
    else:
        assert second.parent_id.tolist() == [0, 0, 0]
        assert second.track_id[0] == mother


def test_divisions_can_be_switched_off():
    linker = Linker(LinkSettings(10.0, divisions=False))
    linker.link([[50.0, 50.0]], 0.0, areas=[100])
    links = linker.link([[46.0, 50.0], [54.0, 50.0]], 1.0, areas=[50, 50])
    assert not links.parent_id.any()
    assert sorted(links.track_id.tolist()) == [1, 2]


@pytest.mark.parametrize("restart_each_frame", [False, True])
def test_a_restart_changes_nothing(restart_each_frame):
    film = simulate(replace(SCENARIOS["drift"], cells=150, frames=12, jump_chance=0.4), seed=3)
    whole, _ = linked(film)
    linker = Linker(LinkSettings(GATE))
    for number, frame in enumerate(film.frames):
        if number and (restart_each_frame or number == 6):
            linker = Linker(LinkSettings(GATE), saved(linker.state))
        links = linker.link(frame.positions_px, float(number), areas=frame.areas_px)
        assert np.array_equal(links.track_id, whole[number].track_id)
        assert np.array_equal(links.parent_id, whole[number].parent_id)
        assert links.total_drift.tobytes() == whole[number].total_drift.tobytes()


def test_ids_go_on_from_where_they_are_told():
    linker = Linker(LinkSettings(10.0), replace(LinkState.empty(), next_id=41))
    assert linker.link([[0.0, 0.0], [50.0, 0.0]], 0.0).track_id.tolist() == [41, 42]
    assert linker.state.next_id == 43


def test_the_state_grows_with_the_cells_and_not_with_time():
    rng = np.random.default_rng(0)
    linker = Linker(LinkSettings(8.0))
    sizes = []
    for number in range(120):
        linker.link(rng.uniform(0, 400, (60, 2)), float(number))
        sizes.append(sum(array.nbytes for array in linker.state.to_arrays().values()))
    assert linker.state.next_id > 1000
    assert max(sizes[60:]) <= 1.1 * max(sizes[:60])
    assert max(sizes) < 5 * 60 * 100


def test_no_cells_and_one_cell():
    linker = Linker(LinkSettings(10.0))
    assert linker.link(np.zeros((0, 2)), 0.0).track_id.tolist() == []
    assert linker.link([], 1.0).track_id.tolist() == []
    ids = [linker.link([[x, 5.0]], 2.0 + x).track_id.tolist() for x in range(6)]
    assert ids == [[1]] * 6
    assert not linker.state.drift.any()


@pytest.mark.parametrize(("frames_without", "same"), [(3, True), (4, False)])
def test_all_cells_lost_and_back(frames_without, same):
    places = grid(5)
    linker = Linker(LinkSettings(10.0, memory=3))
    before = linker.link(places, 0.0).track_id
    for number in range(frames_without):
        linker.link(np.zeros((0, 2)), 1.0 + number)
    after = linker.link(places + 1.0, 10.0).track_id
    assert np.array_equal(after, before) == same
    assert len(np.intersect1d(before, after)) == (25 if same else 0)


def test_a_jump_while_no_cells_were_seen():
    """The image was black while the stage jumped by more than the cells' distance."""
    places = grid(6)
    linker = Linker(LinkSettings(10.0))
    before = linker.link(places, 0.0).track_id
    linker.link(places + 0.5, 1.0)
    linker.link(np.zeros((0, 2)), 2.0)
    after = linker.link(places + np.array([47.0, -33.0]), 3.0)
    assert np.array_equal(after.track_id, before)
    assert np.abs(after.total_drift - [47.0, -33.0]).max() < 1


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_images_that_tell_the_drift_do_no_harm(wrong):
    """Exact to half a pixel, or sometimes far off: the cells know better."""
    film = simulate(replace(SCENARIOS["drift"], cells=150, frames=15, jump_chance=0.3), seed=8)
    rng = np.random.default_rng(0)
    linker, ids, before = Linker(LinkSettings(GATE)), [], np.zeros(2)
    disagreed = told_wrong = 0
    for number, frame in enumerate(film.frames):
        by = frame.drift_px - before + rng.normal(0, 0.5, 2)
        before = frame.drift_px
        if number and rng.random() < wrong:
            by = by + rng.choice([-60, 60], 2)
            told_wrong += 1
        links = linker.link(frame.positions_px, float(number), image_drift=Drift(by))
        disagreed += links.drift.disagree
        ids.append(links.track_id)
    assert link_score(true_edges(film), found_edges(ids, {})) > 0.97
    assert disagreed == told_wrong


def test_a_cell_that_is_lost_while_it_moves_is_found_where_it_must_be():
    """A straight way with gaps: farther in the gap than a step is allowed to be."""
    still = grid(6) + 300
    linker = Linker(LinkSettings(10.0, memory=3))
    ids = []
    for number in range(12):
        seen = number not in (6, 7)
        places = np.vstack([still, *([[[7.0 * number, 20.0]]] if seen else [])])
        # Cells that go on straight: all know it from those that do.
        links = linker.link(places, float(number))
        if seen:
            ids.append(int(links.track_id[-1]))
    assert set(ids) == {ids[0]}


def test_a_frame_that_was_not_taken():
    film = simulate(replace(SCENARIOS["easy"], cells=100, frames=12, divisions=0.0, deaths=0.0), seed=6)
    del film.frames[6]
    linker = Linker(LinkSettings(GATE))
    times = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    ids = [
        linker.link(frame.positions_px, float(time)).track_id
        for time, frame in zip(times, film.frames, strict=True)
    ]
    assert link_score(true_edges(film), found_edges(ids, {})) > 0.97


def test_places_that_several_cells_share():
    linker = Linker(LinkSettings(10.0, divisions=False))
    places = np.repeat([[10.0, 10.0], [60.0, 10.0]], 4, axis=0)
    before = linker.link(places, 0.0).track_id
    after = linker.link(places, 1.0).track_id
    assert sorted(after.tolist()) == sorted(before.tolist())
    assert set(after[:4].tolist()) == set(before[:4].tolist())


@pytest.mark.parametrize(("many", "few"), [(400, 1), (1, 400), (400, 40)])
def test_very_different_counts(many, few):
    rng = np.random.default_rng(1)
    linker = Linker(LinkSettings(10.0))
    places = rng.uniform(0, 800, (many, 2))
    first = linker.link(places, 0.0)
    second = linker.link(rng.uniform(0, 800, (few, 2)), 1.0)
    third = linker.link(places, 2.0)
    assert len(second.track_id) == len(set(second.track_id.tolist())) == few
    assert len(set(third.track_id.tolist())) == many
    if many > few:
        assert np.mean(np.isin(third.track_id, first.track_id)) > 0.9


def test_crowds_are_linked_and_told():
    """So dense that exact links would take long: no error, each cell once, and nearly all right."""
    rng = np.random.default_rng(2)
    places = rng.uniform(0, 200, (4000, 2))
    linker = Linker(LinkSettings(GATE, drift=False, divisions=False))
    before = linker.link(places, 0.0)
    after = linker.link(places + rng.normal(0, 0.1, places.shape), 1.0)
    assert before.crowded == 0
    assert after.crowded > 1000
    assert len(set(after.track_id.tolist())) == 4000
    assert np.mean(after.track_id == before.track_id) > 0.95


def test_places_in_three_dimensions():
    walk = replace(SCENARIOS["drift"], cells=300, frames=10, dimensions=3, jump_chance=0.4)
    film = simulate(walk, seed=2)
    _, found = linked(film)
    assert link_score(true_edges(film), found) > 0.96


def test_slices_that_are_far_apart():
    """z is known to whole slices only, and worse than the plane."""
    rng = np.random.default_rng(4)
    start = np.column_stack([grid(7), 5.0 * rng.integers(0, 4, 49)])
    linker = Linker(LinkSettings(15.0))
    ids = []
    for number in range(6):
        moved = start + np.column_stack([rng.normal(0, 1, (49, 2)), 5.0 * rng.integers(-1, 2, 49)])
        ids.append(linker.link(moved, float(number)).track_id)
    assert np.mean([np.mean(each == ids[0]) for each in ids]) > 0.98


def test_any_unit():
    """Links of micrometres are those of pixels."""
    film = simulate(replace(SCENARIOS["drift"], cells=100, frames=8), seed=2)
    pixels, _ = linked(film)
    micrometres, _ = linked(film, settings=LinkSettings(GATE * 0.125), scale=0.125)
    for one, other in zip(pixels, micrometres, strict=True):
        assert np.array_equal(one.track_id, other.track_id)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"positions": [[1.0, np.nan]]}, "positions"),
        ({"positions": [[1.0, np.inf], [2.0, 2.0]]}, "positions"),
        ({"positions": [[1.0, 2.0, 3.0]]}, "positions"),
        ({"positions": [1.0, 2.0]}, "positions"),
        ({"positions": [[1.0]]}, "positions"),
        ({"time_s": 5.0}, "time_s"),
        ({"time_s": 4.0}, "time_s"),
        ({"time_s": np.nan}, "time_s"),
        ({"areas": [1.0, 2.0]}, "areas"),
        ({"intensities": [[1.0]]}, "intensities"),
        ({"image_drift": Drift(np.array([1.0, np.nan]))}, "image_drift"),
        ({"image_drift": Drift(np.zeros(3))}, "image_drift"),
    ],
)
def test_what_is_refused_changes_nothing(change, parameter):
    linker = Linker(LinkSettings(10.0))
    linker.link([[1.0, 2.0]], 5.0)
    state = linker.state
    with pytest.raises(InvalidInput) as wrong:
        linker.link(**{"positions": [[1.0, 2.0]], "time_s": 6.0} | change)
    assert [finding.parameter for finding in wrong.value.findings] == [parameter]
    assert linker.state is state
    assert linker.link([[1.0, 2.0]], 6.0).track_id.tolist() == [1]


@pytest.mark.parametrize(
    "settings", [{"max_step": 0.0}, {"max_step": np.nan}, {"max_step": 5.0, "memory": -1}]
)
def test_settings_that_are_refused(settings):
    with pytest.raises(InvalidInput):
        LinkSettings(**settings)


def test_positions_of_the_caller_stay_as_they_are():
    places = grid(4)
    copy = places.copy()
    linker = Linker(LinkSettings(10.0))
    linker.link(places, 0.0)
    places += 1000
    links = linker.link(copy, 1.0)
    assert links.track_id.tolist() == list(range(1, 17))
