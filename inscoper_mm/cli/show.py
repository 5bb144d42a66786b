"""``scripts``: what there is to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from inscoper_mm.acquisition.result import EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.errors import InvalidInput
from inscoper_mm.library import find_script, library_scripts
from inscoper_mm.scripting.describe import describe
from inscoper_mm.scripting.loader import load_script
from inscoper_mm.scripting.spec import ScriptSpec


def scripts_command(name: str | None, json_schema: bool) -> int:
    """List the library, or describe one script."""
    console = Console()
    try:
        if name is None:
            _list_scripts(console)
            return EXIT_OK
        about = _about(name)
    except InvalidInput as error:
        tell_findings(Console(stderr=True), error.findings)
        return EXIT_INVALID
    if json_schema:
        console.print_json(json.dumps(about["json_schema"]))
    else:
        _show_script(console, about)
    return EXIT_OK


def _about(name: str) -> dict[str, Any]:
    file = find_script(name)
    return describe(load_script(ScriptSpec(file.stem, file), values=False))


def _list_scripts(console: Console) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("script", no_wrap=True, min_width=max(map(len, library_scripts())))
    table.add_column("what it does")
    table.add_column("publishes")
    for name in library_scripts():
        about = _about(name)
        table.add_row(name, about["summary"], ", ".join(about["processors"]))
    console.print(table)
    console.print("One in full: inscoper-mm scripts NAME", style="dim")


def _show_script(console: Console, about: Mapping[str, Any]) -> None:
    console.print(f"[bold]{about['name']}[/]  {about['file']}", highlight=False)
    console.print(Markdown(about["doc"]))
    for role in ("provider", "process"):
        function = about[role]
        console.print(f"\n[bold]{role}[/]: {function['name']}()", highlight=False)
        table = Table("parameter", "kind", "default", "allowed", "what for", box=None, header_style="dim")
        for parameter in function["parameters"]:
            if "required" not in parameter:
                continue  # injected: nothing to choose
            table.add_row(*_parameter(parameter))
        if table.row_count:
            console.print(table)
    if about["twin"]:
        console.print(f"\nWith [bold]async: true[/]: {about['twin']}()", highlight=False)
    if about["processors"]:
        console.print(f"\nPublishes: {', '.join(about['processors'])}", highlight=False)


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    allowed = ", ".join(str(choice) for choice in parameter.get("choices") or ())
    low, high = parameter["minimum"], parameter["maximum"]
    if low is not None or high is not None:
        allowed = f"{'' if low is None else low} to {'' if high is None else high}"
    default = "(required)" if parameter["required"] else str(parameter["default"])
    return parameter["name"], str(parameter["kind"]), default, allowed, str(parameter["help"])
