"""The virtual specimen: known truth behind the demo devices."""

from inscoper_mm.specimen.attachment import Attachment, attach
from inscoper_mm.specimen.parameters import Jump, SpecimenParameters
from inscoper_mm.specimen.scoring import Match, match
from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.truth import CellTruth, Truth
from inscoper_mm.specimen.truth_writer import TruthWriter
from inscoper_mm.specimen.view import View

__all__ = [
    "Attachment",
    "CellTruth",
    "Jump",
    "Match",
    "Specimen",
    "SpecimenParameters",
    "Truth",
    "TruthWriter",
    "View",
    "attach",
    "match",
]
