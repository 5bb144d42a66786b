"""Pixels and stage coordinates of a view."""

from dataclasses import replace

import pytest

from inscoper_mm.specimen import View

PLAIN = View(100.0, -50.0, 0.0, "DAPI", 20.0, sensor=(400, 600))


@pytest.mark.parametrize(
    ("view", "stage_um", "pixel"),
    [
        pytest.param(PLAIN, (100, -50), (200, 300), id="the stage position is in the middle"),
        pytest.param(PLAIN, (110, -50), (200, 310), id="+x is right"),
        pytest.param(PLAIN, (100, -45), (205, 300), id="+y is down"),
        pytest.param(replace(PLAIN, x_um=110.0), (110, -50), (200, 300), id="the stage moved"),
        pytest.param(replace(PLAIN, x_um=110.0), (100, -50), (200, 290), id="stage +x moves content left"),
        pytest.param(replace(PLAIN, pixel_size_um=0.5), (110, -45), (210, 320), id="smaller pixels"),
        pytest.param(
            replace(PLAIN, pixel_size_um=2.0, binning=2, sensor=(200, 300)),
            (110, -50),
            (100, 155),
            id="binning",
        ),
        pytest.param(replace(PLAIN, roi=(50, 20, 100, 80)), (100, -50), (180, 250), id="region"),
        pytest.param(PLAIN, (100.25, -50.5), (199.5, 300.25), id="between pixels"),
    ],
)
def test_where_a_place_is_seen(view, stage_um, pixel):
    assert view.to_pixel(*stage_um) == pytest.approx(pixel)
    assert view.to_stage(*pixel) == pytest.approx(stage_um)


@pytest.mark.parametrize(
    ("view", "shape"),
    [(PLAIN, (400, 600)), (replace(PLAIN, roi=(50, 20, 100, 80)), (80, 100))],
    ids=["all", "roi"],
)
def test_shape(view, shape):
    assert view.shape == shape
