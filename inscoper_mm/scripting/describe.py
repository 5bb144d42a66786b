"""A script in JSON values, and the JSON Schema of its parameters."""

from __future__ import annotations

from typing import Any

from inscoper_mm.errors import short_path
from inscoper_mm.scripting.docstrings import summary
from inscoper_mm.scripting.functions import Function
from inscoper_mm.scripting.loader import Script


def describe(script: Script) -> dict[str, Any]:
    """What there is to know about ``script``, as JSON values.

    Load it with ``load_script(spec, values=False)`` to describe one that needs values.
    """
    return {
        "name": script.name,
        "file": short_path(script.spec.file),
        "summary": summary(script.module.__doc__),
        "doc": script.module.__doc__ or "",
        "provider": _function(script.provider),
        "process": _function(script.process),
        "twin": script.twin,
        "asynchronous": script.asynchronous,
        "prepare": script.prepare is not None,
        "processors": list(script.processors),
        "warnings": [finding.to_dict() for finding in script.findings],
        "json_schema": json_schema(script),
    }


def _function(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "file": function.source.shown,
        "line": function.line,
        "doc": function.doc,
        "parameters": [parameter.to_dict() for parameter in function.parameters],
    }


def json_schema(script: Script) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a script's ``provider_parameters`` and ``parameters``."""
    sections = {"provider_parameters": script.provider, "parameters": script.process}
    schemas = {key: _object(function) for key, function in sections.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": script.name,
        "type": "object",
        "properties": schemas,
        "required": [key for key, schema in schemas.items() if schema["required"]],
        "additionalProperties": False,
    }


def _object(function: Function) -> dict[str, Any]:
    parameters = [parameter for parameter in function.parameters if not parameter.injected]
    return {
        "type": "object",
        "properties": {parameter.name: parameter.json_schema() for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }
