"""A script described, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from inscoper_mm.scripting.describe import describe, json_schema
from inscoper_mm.scripting.loader import Script

TEXT = '''
"""Measures things.

In two lines.
"""

DATA_PROCESSORS = ("segmentation",)


def fetch_images(new_image, channel_index: int = 0):
    """Every image."""
    return [{}]


def prepare(): ...


def work(images: "images", context: "IIS_CONTEXT", size: int, mode: str = "a"):
    """Measure.

    Parameters
    ----------
    size : int
        How large.
    """


def run_work_async(images: "images", context: "IIS_CONTEXT", size: int, mode: str = "a"): ...
'''


def test_a_script_that_needs_values_can_be_described(load: Callable[..., Script]) -> None:
    facts = describe(load(TEXT, values=False))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["summary"] == "Measures things."
    assert (facts["twin"], facts["asynchronous"], facts["prepare"]) == ("run_work_async", False, True)
    assert facts["processors"] == ["segmentation"]
    assert (facts["provider"]["name"], facts["provider"]["line"]) == ("fetch_images", 10)
    assert (facts["process"]["name"], facts["process"]["line"]) == ("work", 18)
    assert [p["name"] for p in facts["process"]["parameters"]] == ["images", "context", "size", "mode"]
    size = facts["process"]["parameters"][2]
    assert (size["hint"], size["required"], size["help"]) == ("int", True, "How large.")


@pytest.mark.parametrize(
    ("values", "valid"),
    [
        ({"parameters": {"size": 3}}, True),
        ({"parameters": {"size": 3, "mode": "b"}, "provider_parameters": {"channel_index": 1}}, True),
        ({}, False),
        ({"parameters": {}}, False),
        ({"parameters": {"size": "3"}}, False),
        ({"parameters": {"size": 3, "sise": 3}}, False),
        ({"parameters": {"size": 3, "images": 3}}, False),
        ({"parameters": {"size": 3}, "provider_parameters": {"channel_index": 1.5}}, False),
    ],
)
def test_the_schema_judges_as_loading_does(
    load: Callable[..., Script], values: dict[str, Any], valid: bool
) -> None:
    schema = json_schema(load(TEXT, values=False))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(values) is valid
