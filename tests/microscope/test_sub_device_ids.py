"""Ids lead back to the names that they were made from, whatever the names look like."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inscoper_mm.microscope.sub_device_ids import make_id, split_id

# Names as devices and properties of real microscopes have them, and the ids that people read.
IDS = {
    "a state device": (("Objective",), "Objective"),
    "an axis": (("XY", "X"), "XY.X"),
    "blanks inside": (("White Light Shutter",), "White Light Shutter"),
    "colons": (("XYStage:XY:31", "X"), "XYStage:XY:31.X"),
    "colon and blank": (("Laser: Obis 405nm", "PowerSetpoint"), "Laser: Obis 405nm.PowerSetpoint"),
    "a dot": (("Andor Zyla 4.2", "ROI"), '"Andor Zyla 4.2".ROI'),
    "a leading blank": ((" DStage: 1",), '" DStage: 1"'),
    "a blank at the end": (("LED ", "State"), '"LED ".State'),
    "quotation marks": (('the "new" laser',), '"the \\"new\\" laser"'),
    "a backslash is plain": (("A\\B",), "A\\B"),
    "a backslash in quotation marks": (("A\\B.C",), '"A\\\\B.C"'),
    "brackets and a per cent": (
        ("Remote", "Laser 405-100C - PowerSetpoint (%)"),
        "Remote.Laser 405-100C - PowerSetpoint (%)",
    ),
    "other alphabets": (("Objektiv µ", "Lage °"), "Objektiv µ.Lage °"),
    "what cannot be seen": (("tab\there",), '"tab\\there"'),
    "a sign without width": (("a\u200bb",), '"a\\u200bb"'),
    "nothing": (("",), '""'),
    "three names": (("XY", "property", "X"), "XY.property.X"),
}


@pytest.mark.parametrize(("names", "identity"), IDS.values(), ids=IDS.keys())
def test_an_id_is_readable_and_leads_back(names: tuple[str, ...], identity: str) -> None:
    assert make_id(*names) == identity
    assert split_id(identity) == names


@pytest.mark.parametrize("text", ["", "A.", ".A", "A..B", '"A', 'A"', '"A"B', '"A\\"', "A.B."])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        split_id(text)


def test_names_of_few_difficult_characters_never_collide() -> None:
    """All names of up to three of the characters that mean something in an id, alone and in pairs."""
    signs = ['"', ".", "\\", " ", "a", "\n", "\u200b"]
    names = [""] + signs + [a + b for a in signs for b in signs]
    names += [a + b + c for a in signs for b in signs for c in signs]
    pairs = [(name,) for name in names] + [(a, b) for a in names[:57] for b in names[:57]]
    assert len({make_id(*each) for each in pairs}) == len(pairs)
    assert all(split_id(make_id(*each)) == each for each in pairs)


NAMES = st.lists(st.text(), min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow])  # that is the machine, not the names
@given(NAMES, NAMES)
def test_any_names_come_back_and_differ_where_they_differ(first: list[str], second: list[str]) -> None:
    assert split_id(make_id(*first)) == tuple(first)
    assert (make_id(*first) == make_id(*second)) == (first == second)
    assert make_id(*first) == make_id(*first).strip()
