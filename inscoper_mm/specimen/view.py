"""What the camera looks at: the state of the microscope at one exposure, and pixels <-> stage coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inscoper_mm.specimen.orientation import UPRIGHT, Number, Orientation


@dataclass(frozen=True, slots=True)
class View:
    """The state of the microscope at one exposure.

    Parameters
    ----------
    x_um, y_um, z_um : float
        Where the stage and the focus drive stand.
    channel : str or None
        Name of the channel preset; None where no preset is set.
    exposure_ms : float
    pixel_size_um : float
        Size of a pixel of the image in the specimen: binning is included, as the Core reports it. Of pixels
        that are not square, the square root of the area.
    binning : int
    sensor : tuple of int
        (height, width) of the whole sensor in image pixels, that is, after binning.
    roi : tuple of int, optional
        (x, y, width, height) of the part that is read, in image pixels; None: the whole sensor.
    bit_depth, bytes_per_pixel : int
        The camera's; one byte gives uint8 images, two give uint16.
    image : int, optional
        Number of the exposure, from 0, which seeds its noise and fixes the jumps before it; None: the next
        one.
    orientation : Orientation
        How the camera is mounted.
    time_s : float, optional
        When the exposure begins, by the specimen's clock; None: now.
    lights : tuple of (row, col, strength)
        Spots of light that the image shows, in pixels of the sensor without binning; 1 is full strength.
    lit : bool
        Whether the shutter lets light onto the specimen.

    Notes
    -----
    Pixel centres have whole coordinates. The stage position is seen at ``(height / 2, width / 2)`` of the
    sensor, with every binning and orientation. Seen by an upright camera, content further along +x is further
    right, along +y further down: ``col = (x - x_um) / pixel_size_um + width / 2 - roi_x``, and rows likewise.
    A stage that moves by +x therefore moves the content to the left. Another orientation turns and mirrors
    the image around the place where the stage position is seen.
    """

    x_um: float
    y_um: float
    z_um: float
    channel: str | None
    exposure_ms: float
    pixel_size_um: float = 1.0
    binning: int = 1
    sensor: tuple[int, int] = (512, 512)
    roi: tuple[int, int, int, int] | None = None
    bit_depth: int = 16
    bytes_per_pixel: int = 2
    image: int | None = None
    orientation: Orientation = UPRIGHT
    time_s: float | None = None
    lights: tuple[tuple[float, float, float], ...] = ()
    lit: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return (self.roi[3], self.roi[2]) if self.roi else self.sensor

    @property
    def whole(self) -> View:
        """The view of the whole sensor."""
        return replace(self, roi=None)

    def at(self, time_s: float) -> View:
        """The same view at a time."""
        return replace(self, time_s=time_s)

    @property
    def origin_px(self) -> tuple[int, int]:
        """(row, col) of the image's first pixel on the sensor."""
        return (self.roi[1], self.roi[0]) if self.roi else (0, 0)

    def to_pixel(self, x_um: Number, y_um: Number) -> tuple[Number, Number]:
        """(row, col) in the image at which the stage coordinate (x_um, y_um) is seen."""
        row0, col0 = self.origin_px
        height, width = self.sensor
        col, row = self.orientation.to_pixel(
            (x_um - self.x_um) / self.pixel_size_um, (y_um - self.y_um) / self.pixel_size_um
        )
        return row + height / 2 - row0, col + width / 2 - col0

    def to_stage(self, row: Number, col: Number) -> tuple[Number, Number]:
        """(x_um, y_um), the stage coordinate that is seen at (row, col) of the image."""
        row0, col0 = self.origin_px
        height, width = self.sensor
        x, y = self.orientation.to_stage(col + col0 - width / 2, row + row0 - height / 2)
        return self.x_um + x * self.pixel_size_um, self.y_um + y * self.pixel_size_um

    def bounds_um(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) on the stage of a rectangle around all pixels' centres."""
        height, width = self.shape
        corners = [self.to_stage(row, col) for row in (0, height - 1) for col in (0, width - 1)]
        x_um, y_um = zip(*corners, strict=True)
        return min(x_um), min(y_um), max(x_um), max(y_um)
