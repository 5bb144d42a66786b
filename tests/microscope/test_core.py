"""The Core comes and goes."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.microscope.cfg import find_config
from inscoper_mm.microscope.core import Microscope

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo


def test_a_closed_microscope_leaves_nothing_behind() -> None:
    """Each Core holds a gigabyte for images: a program that runs many experiments would use it up."""
    threads = threading.active_count()
    microscope = Microscope.open(*find_config(MicroscopeConfig(config="demo")))
    microscope.core.snapImage()
    core = weakref.ref(microscope.core)
    microscope.close()
    del microscope
    gc.collect()
    assert core() is None
    assert threading.active_count() == threads


def test_closing_twice_is_fine() -> None:
    microscope = Microscope.open(*find_config(MicroscopeConfig(config="demo")))
    microscope.close()
    microscope.close()


def test_who_keeps_a_closed_core_does_not_keep_its_images() -> None:
    microscope = Microscope.open(*find_config(MicroscopeConfig(config="demo")))
    assert microscope.core.getCircularBufferMemoryFootprint() > 100
    microscope.close()
    assert microscope.core.getCircularBufferMemoryFootprint() == 1
