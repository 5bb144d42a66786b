"""The environment that scripts run in: packages, graphics card, models, Micro-Manager, memory and disk."""

from inscoper_mm.environment.facts import (
    Adapters,
    Cellpose,
    Environment,
    Framework,
    Machine,
    Model,
    Output,
    Package,
)
from inscoper_mm.environment.look import look_at_environment
from inscoper_mm.environment.requirements import REQUIREMENTS, known_requirements, missing_requirements
from inscoper_mm.environment.text import environment_lines

__all__ = [
    "REQUIREMENTS",
    "Adapters",
    "Cellpose",
    "Environment",
    "Framework",
    "Machine",
    "Model",
    "Output",
    "Package",
    "environment_lines",
    "known_requirements",
    "look_at_environment",
    "missing_requirements",
]
