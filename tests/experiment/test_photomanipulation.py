"""The section ``photomanipulation`` of an experiment file."""

from __future__ import annotations

from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.photomanipulation import FILLS, Photomanipulation

BASE = """\
name: fire
microscope: {backend: demo}
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 10}]
"""
FULL = (
    "photomanipulation: {sub_device: Galvo, light: Laser405, power_device: Laser405Power.Volts, power: 2.5, "
    "mw_per_unit: 0.8, duration_ms: 5, per: region, repetitions: 3, fill: contour, spot_um: 2, overlap: 0.3}"
)


def test_all_keys_are_read_and_written_back() -> None:
    experiment = parse_experiment(BASE + FULL, Path())
    assert experiment.photomanipulation == Photomanipulation(
        "Galvo", "Laser405", "Laser405Power.Volts", 2.5, 0.8, 5.0, "region", 3, "contour", None, 2.0, 0.3
    )
    again = parse_experiment(dump_experiment(experiment), Path())
    assert again == experiment


def test_left_out_there_are_no_settings_and_empty_has_the_defaults() -> None:
    left_out = parse_experiment(BASE, Path())
    assert left_out.photomanipulation is None
    assert parse_experiment(dump_experiment(left_out), Path()) == left_out
    assert parse_experiment(BASE + "photomanipulation: {}", Path()).photomanipulation == Photomanipulation()


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("{duration: 5}", "Did you mean 'duration_ms'"),
        ("{duration_ms: 0}", "above 0"),
        ("{duration_ms: -1}", "above 0"),
        ("{power: -1, power_device: P}", "at least 0"),
        ("{power: .inf, power_device: P}", "power"),
        ("{power: .nan, power_device: P}", "power"),
        ("{power: 5}", "power_device"),
        ("{mw_per_unit: 5}", "power_device"),
        ("{repetitions: 0}", "from 1"),
        ("{repetitions: 1.5}", "whole number"),
        ("{fill: rastr}", "Did you mean 'raster'"),
        ("{per: shot}", "point, region"),
        ("{spot_px: 0}", "above 0"),
        ("{spot_px: 3, spot_um: 2}", "not both"),
        ("{overlap: 1}", "0 to 0.9"),
        ("{light: 5}", "must be text"),
        ("laser", "must be a mapping"),
    ],
)
def test_mistakes_are_named_with_their_line(section: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_experiment(BASE + f"photomanipulation: {section}", Path())
    assert reason in str(error.value) and "photomanipulation" in str(error.value) and ":5" in str(error.value)


def test_the_fills_are_those_that_are_built() -> None:
    from inscoper_mm.analysis import filling

    assert FILLS == filling.FILLS
