"""The virtual specimen: known truth behind the demo devices."""

from inscoper_mm.specimen.attachment import Attachment, attach
from inscoper_mm.specimen.changes import Death, Division, Drift, Motion, Time
from inscoper_mm.specimen.orientation import ORIENTATIONS, Orientation
from inscoper_mm.specimen.parameters import Bleaching, Brightfield, Camera, Galvo, Jump, SpecimenParameters
from inscoper_mm.specimen.plate import Plate
from inscoper_mm.specimen.scoring import Match, match
from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.truth import CellTruth, Truth
from inscoper_mm.specimen.truth_writer import TruthWriter
from inscoper_mm.specimen.view import View

__all__ = [
    "ORIENTATIONS",
    "Attachment",
    "Bleaching",
    "Brightfield",
    "Camera",
    "CellTruth",
    "Death",
    "Division",
    "Drift",
    "Galvo",
    "Jump",
    "Match",
    "Motion",
    "Orientation",
    "Plate",
    "Specimen",
    "SpecimenParameters",
    "Time",
    "Truth",
    "TruthWriter",
    "View",
    "attach",
    "match",
]
