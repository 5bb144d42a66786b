"""Whether a script that corrects positions sees the effect of its corrections before it makes the next ones."""

from __future__ import annotations

from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.experiment.document import KeyPath
from inscoper_mm.experiment.model import ScriptConfig
from inscoper_mm.scripting.loader import Script

_CLOSES_A_LOOP = "correctPosition"


def check_script_pace(config: ScriptConfig, script: Script, path: KeyPath, notes: Notes) -> None:
    """Warn where images that were taken before a correction held may be corrected a second time."""
    policy = config.policy.for_script(script.asynchronous)
    if _CLOSES_A_LOOP not in script.context_names or policy.slow == "wait":
        return
    notes.add(
        "warning",
        (*path, "policy", "slow"),
        f"{config.name} corrects positions ({_CLOSES_A_LOOP}) and does not hold up the acquisition: images that were "
        "taken before a correction held are corrected a second time. Use slow: wait.",
        got=policy.slow,
        allowed="wait",
    )
