"""The benchmarks judge rightly; what they measure is not a test's business."""

from __future__ import annotations

import importlib
import platform
from contextlib import nullcontext
from importlib.metadata import version

import pytest


@pytest.fixture
def benchmark(root, monkeypatch):
    """``benchmark(name)`` imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module


@pytest.mark.parametrize(
    ("name", "median_ms", "p95_ms", "met"),
    [
        pytest.param("inscoper_mm, null script, thread", 12.9, 20.0, True, id="within both"),
        pytest.param("inscoper_mm, null script, thread", 13.1, 20.0, False, id="median over"),
        pytest.param("inscoper_mm, null script, worker", 14.9, 21.5, False, id="p95 over"),
        pytest.param("inscoper_mm, provider skips, worker", 12.2, 99.0, True, id="p95 not promised"),
        pytest.param("inscoper_mm, provider skips, worker", 12.4, 12.4, False, id="skipping costs too much"),
    ],
)
def test_the_loop_is_judged_against_bare_pycromanager(benchmark, name, median_ms, p95_ms, met):
    report = benchmark("report")
    bare = report.Cost("pycromanager, next event when processed", 12.0, 16.0, 12.5)
    row = report.loop_table([bare, report.Cost(name, median_ms, p95_ms, median_ms)]).splitlines()[-1]
    assert row.endswith("yes |" if met else "**no** |")
    assert f"{median_ms - 12:+.2f} | {p95_ms - 16:+.2f}" in row


@pytest.mark.parametrize(("value", "verdict"), [(49.9, "yes"), (50.1, "**no**")])
def test_a_figure_is_judged_by_its_target(benchmark, value, verdict):
    check = benchmark("report").Check("growth", value, 50.0, "MB")
    assert check.row.endswith(f"| {verdict} |")


def test_a_long_run_is_summed_up(benchmark):
    """3,000 images: 10 ms apart in the first thousand, 12 ms in the last; 30 MB more after image 100."""
    periods_s = [0.010] * 1000 + [0.011] * 999 + [0.012] * 1000
    arrived_s = [0.0]
    for period_s in periods_s:
        arrived_s.append(arrived_s[-1] + period_s)
    memory = [100_000_000] * 100 + [170_000_000] * 2800 + [200_000_000] * 100
    figures = benchmark("long_run").figures(arrived_s, memory)
    assert figures["growth_mb"] == pytest.approx(30.0)
    assert (figures["first_ms"], figures["last_ms"]) == (pytest.approx(10.0), pytest.approx(12.0))


def test_contestants_take_turns_after_a_warm_up(benchmark):
    ran = []
    timings = benchmark("interleave").interleave(
        {name: lambda name=name: ran.append(name) for name in "abc"}, rounds=3
    )
    assert ran == list("abcabcbcacab")
    assert list(timings) == ["a", "b", "c"]


def test_a_timing_is_the_least_and_the_median_of_the_rounds(benchmark, monkeypatch):
    interleave = benchmark("interleave")
    rounds_ms = iter([9.0, 4.0, 7.0])
    monkeypatch.setattr(interleave, "_timed", lambda function: (next(rounds_ms), 1.0))
    timings = interleave.interleave({"it": lambda: None}, rounds=3)
    assert timings == {"it": interleave.Timing(min_ms=4.0, median_ms=7.0)}


@pytest.mark.parametrize(
    ("wall_ms", "refused"), [(20.0, True), (0.2, False)], ids=["long", "within the grain"]
)
def test_a_contestant_that_keeps_two_cores_busy_is_refused(benchmark, monkeypatch, wall_ms, refused):
    interleave = benchmark("interleave")
    monkeypatch.setattr(interleave, "_timed", lambda function: (wall_ms, 1.9))
    expected = pytest.raises(RuntimeError, match=r"it kept 1\.9 cores busy") if refused else nullcontext()
    with expected:
        interleave.interleave({"it": lambda: None}, rounds=1)


def test_an_absent_peer_is_a_row_that_says_so(benchmark):
    interleave = benchmark("interleave")
    assert interleave.peer("no_such_peer") is None
    table = interleave.timing_table(
        {"theirs": interleave.Timing(80.0, 90.0), "ours": interleave.Timing(8.0, 9.0)},
        base="theirs",
        absent={"StackReg": "pystackreg"},
    ).splitlines()
    assert table[-2:] == [
        "| ours | 8.00 | 9.00 | 10.00 |",
        "| StackReg | not installed: `pip install pystackreg` | | |",
    ]


ORDER = ("loop", "registration", "focus")


def test_a_part_of_the_page_is_replaced_alone(benchmark):
    with_part = benchmark("page").with_part
    page = with_part("", "focus", "## Focus\n\n15 ms", ORDER)
    page = with_part(page, "loop", "## Loop\n\n10 ms", ORDER)
    page = with_part(page, "focus", "## Focus\n\n14 ms", ORDER)
    assert page.count("## Focus") == 1
    assert "15 ms" not in page
    assert page.index("# Benchmarks") < page.index("10 ms") < page.index("14 ms")


def test_the_page_holds_the_parts_of_the_benchmarks(benchmark, root):
    """Replacing a part by itself changes nothing: the markers are whole and the order is right."""
    page = benchmark("page")
    text = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    parts = benchmark("run").PARTS
    assert page.with_part(text, "loop", page._found(text, "loop"), parts) == text


def test_a_part_names_its_machine_and_versions_below_its_heading(benchmark):
    page = benchmark("page")
    section = page.stamped("## Focus\n\nA table.", ("numpy", "no-such-peer"))
    heading, measured, table = section.split("\n\n")
    assert (heading, table) == ("## Focus", "A table.")
    assert f"numpy {version('numpy')}, no-such-peer not installed" in measured
    assert platform.system() in measured


def test_linear_algebra_runs_on_one_thread(benchmark):
    interleave = benchmark("interleave")
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pools: list[int] = []
    interleave.interleave(
        {"it": lambda: pools.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())},
        rounds=1,
    )
    assert set(pools) == {1}
