"""The benchmarks judge rightly; what they measure is not a test's business."""

from __future__ import annotations

import importlib

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
