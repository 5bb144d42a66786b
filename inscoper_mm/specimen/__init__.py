"""The virtual specimen: known truth behind the demo devices."""

from inscoper_mm.specimen.parameters import Jump, SpecimenParameters
from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.truth import CellTruth, Truth
from inscoper_mm.specimen.view import View

__all__ = ["CellTruth", "Jump", "Specimen", "SpecimenParameters", "Truth", "View"]
