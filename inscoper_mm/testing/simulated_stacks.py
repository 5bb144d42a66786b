"""Stacks through focus with known answers: thin scenes seen through the scalar pupil of an objective.

Each image is computed from the wave optics of a circular pupil: no blur model that an estimator could be fitted to.
Fluorescence is the scene convolved with the defocused point spread function; brightfield is a thin object of phase and
absorption, lit from several directions (partial coherence), as in J. W. Goodman, Introduction to Fourier Optics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint16]

OFFSET = 100
READ_NOISE_E = 2.0
# Directions of the condenser's light: the axis, and eight at this share of the objective's aperture.
_CONDENSER = 0.5


@dataclass(frozen=True, slots=True)
class Optics:
    """An objective in air and its camera."""

    aperture: float = 0.75
    wavelength_um: float = 0.52
    pixel_um: float = 0.16

    @property
    def depth_of_field_um(self) -> float:
        """Wavelength over aperture squared."""
        return self.wavelength_um / self.aperture**2


@dataclass(frozen=True, slots=True)
class Slide:
    """A thin scene under an objective, whose image can be taken at any height.

    Parameters
    ----------
    name : str
        One of ``FLUORESCENT``, or ``"brightfield"``.
    seed : int
    photons : float
        Of the brightest pixel in focus; in brightfield, of the empty field.
    focus_um : float
        Where it is in focus.
    size_px : int
    optics : Optics
    bleaching : float
        Share of the light that each exposure takes away.
    """

    name: str
    seed: int
    photons: float
    focus_um: float = 0.0
    size_px: int = 256
    optics: Optics = field(default_factory=Optics)
    bleaching: float = 0.01

    def take(self, z_um: Sequence[float]) -> list[Pixels]:
        """One image after the other at these heights, of a fresh slide."""
        view = Viewer(self)
        return [view.take(z) for z in z_um]


class Viewer:
    """A slide under the microscope: image after image, wherever the focus drive goes."""

    def __init__(self, slide: Slide) -> None:
        self._noise = np.random.default_rng([slide.seed, 7])
        self._taken = 0
        random = np.random.default_rng([slide.seed, 3])
        self._slide = slide
        shape = (slide.size_px, slide.size_px)
        self._pupil = _Pupil(shape, slide.optics)
        if slide.name == "brightfield":
            self._spectrum = np.fft.fft2(_phase_object(random, shape))
            self._scale = slide.photons
        else:
            self._spectrum = np.fft.rfft2(FLUORESCENT[slide.name](random, shape))
            in_focus = np.fft.irfft2(self._spectrum * self._pupil.transfer(0.0), s=shape)
            self._scale = slide.photons / float(in_focus.max())

    def take(self, z_um: float) -> Pixels:
        """The next image, with the focus drive at ``z_um``."""
        left = (1 - self._slide.bleaching) ** self._taken
        self._taken += 1
        return camera(self.light(z_um) * left, self._noise)

    def light(self, z_um: float) -> Floats:
        """Photons of each pixel with the focus drive at ``z_um``, before any bleaching."""
        away = z_um - self._slide.focus_um
        if self._slide.name == "brightfield":
            return self._scale * self._pupil.bright_field(self._spectrum, away)
        shape = (self._slide.size_px, self._slide.size_px)
        seen = np.fft.irfft2(self._spectrum * self._pupil.transfer(away), s=shape)
        return np.maximum(self._scale * seen, 0)


def camera(photons: Floats, random: np.random.Generator) -> Pixels:
    """What a camera of one grey level an electron makes of light: shot noise, read noise, an offset."""
    electrons = random.poisson(photons) + random.normal(0, READ_NOISE_E, photons.shape)
    return np.asarray(np.clip(np.rint(electrons + OFFSET), 0, 65535), np.uint16)


class _Pupil:
    def __init__(self, shape: tuple[int, int], optics: Optics) -> None:
        self._optics = optics
        rows, cols = (np.fft.fftfreq(size, optics.pixel_um) for size in shape)
        self._rows, self._cols = rows[:, None], cols[None, :]
        self._edge = optics.aperture / optics.wavelength_um
        self._step = float(cols[1])

    def _amplitude(self, away_um: float, row: float = 0.0, col: float = 0.0) -> npt.NDArray[np.complex128]:
        """Transmission of the pupil, for light that comes from a direction (spatial frequency)."""
        squared = (self._rows + row) ** 2 + (self._cols + col) ** 2
        # The pupil's rim, one sample of frequency wide, so that it does not jump with the grid.
        inside = np.clip((self._edge - np.sqrt(squared)) / self._step + 0.5, 0, 1)
        axial = np.sqrt(np.maximum(self._optics.wavelength_um**-2 - squared, 0))
        return np.asarray(inside * np.exp(2j * np.pi * away_um * axial), np.complex128)

    def transfer(self, away_um: float) -> Floats:
        """Optical transfer function at a distance from focus, for ``rfft2``; 1 at frequency zero."""
        spread = np.abs(np.fft.ifft2(self._amplitude(away_um))) ** 2
        return np.fft.rfft2(spread / spread.sum()).real

    def bright_field(self, spectrum: npt.NDArray[np.complex128], away_um: float) -> Floats:
        """Light behind a thin object, 1 where it is empty: nine directions of light."""
        reach = _CONDENSER * self._edge
        angles = np.arange(8) * np.pi / 4
        places = [(0.0, 0.0), *((reach * np.sin(a), reach * np.cos(a)) for a in angles)]
        seen = [
            np.abs(np.fft.ifft2(spectrum * self._amplitude(away_um, row, col))) ** 2 for row, col in places
        ]
        return np.asarray(np.mean(seen, axis=0))


def _texture(random: np.random.Generator, shape: tuple[int, int], size_px: float) -> Floats:
    """Smooth random values around 0 with standard deviation 1."""
    rough = cv2.GaussianBlur(random.standard_normal(shape), (0, 0), size_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(rough / rough.std())


def _ellipses(
    random: np.random.Generator, shape: tuple[int, int], count: int, radii: tuple[float, float]
) -> Floats:
    """Soft-edged ellipses, 0 to 1."""
    mask = np.zeros(shape, np.uint8)
    for _ in range(count):
        centre = random.uniform(0, shape[1]), random.uniform(0, shape[0])
        axes = random.uniform(*radii), random.uniform(*radii)
        box = (centre, (2 * axes[0], 2 * axes[1]), float(random.uniform(0, 180)))
        cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask / 255.0, (0, 0), 0.7))


def _nuclei(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    count = max(2, round(shape[0] * shape[1] / 9000))
    body = _ellipses(random, shape, count, (22, 34))
    return body * np.clip(1 + 0.25 * _texture(random, shape, 3.0), 0.2, None)


def _filaments(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    drawn = np.zeros(shape, np.uint8)
    for _ in range(max(4, shape[0] * shape[1] // 2500)):
        place, angle = random.uniform(0, shape[0], 2), random.uniform(0, 2 * np.pi)
        points = []
        for _ in range(40):
            points.append(place)
            angle += random.normal(0, 0.12)
            place = place + 4 * np.array([np.cos(angle), np.sin(angle)])
        line = np.rint(np.array(points) * 16).astype(np.int32)
        cv2.polylines(drawn, [line], False, int(random.integers(90, 255)), 1, cv2.LINE_AA, shift=4)
    return drawn / 255.0


def _puncta(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    scene = np.zeros(shape)
    count = max(8, shape[0] * shape[1] // 650)
    rows, cols = random.integers(0, shape[0], count), random.integers(0, shape[1], count)
    np.add.at(scene, (rows, cols), random.uniform(0.5, 1, count))
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.8))


def _one_cell(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    centre = tuple(random.uniform(0.4, 0.6, 2) * shape)
    rows, cols = np.indices(shape)
    turn = random.uniform(0, np.pi)
    along = (rows - centre[0]) * np.cos(turn) + (cols - centre[1]) * np.sin(turn)
    across = (cols - centre[1]) * np.cos(turn) - (rows - centre[0]) * np.sin(turn)
    body = 1 / (1 + np.exp(12 * (np.hypot(along / 55, across / 36) - 1)))
    return np.asarray(body * np.clip(1 + 0.35 * _texture(random, shape, 2.0), 0.1, None))


def _phase_object(random: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.complex128]:
    """Cells that delay the light, and absorb a little of it in fine grains."""
    body = _ellipses(random, shape, max(2, round(shape[0] * shape[1] / 9000)), (20, 34))
    phase = body * (0.6 + 0.3 * _texture(random, shape, 3.0))
    grains = np.clip(_texture(random, shape, 1.5) - 1.5, 0, None)
    return np.asarray(np.exp(1j * phase - body * 0.05 * grains), np.complex128)


FLUORESCENT: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "nuclei": _nuclei,
    "filaments": _filaments,
    "puncta": _puncta,
    "one_cell": _one_cell,
}
