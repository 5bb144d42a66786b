"""The fit of a recovery curve: mobile fraction and half-time with their errors, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Model = Literal["exponential", "diffusion"]
MODELS: tuple[Model, ...] = ("exponential", "diffusion")

# What makes a curve one that says something.
FEWEST_BEFORE, FEWEST_AFTER = 1, 8
LEAST_BLEACHED = 0.1
FEWEST_HALF_TIMES = 2.0
_SIGNIFICANT = 4.0
# By how many variances of a point the sum of squares must fall for a recovery to be seen (three parameters for one),
# and must rise if the half-time were too long for the measured time.
_SEEN, _SURE = 20.0, 6.6
_LARGEST_MOBILE_SE = 0.2
_LARGEST_HALF_TIME_SE = 0.5
# Part of the recovery that may be left unexplained.
_LARGEST_MISFIT = 0.25
# A half-time that is a smaller part of the time between two images cannot be seen.
_FASTEST = 0.5
_STEPS = 80
# 2 tau_D / t at half of the recovery by diffusion: exp(-z) (I0(z) + I1(z)) = 1/2.
_DIFFUSION_HALF = 2.23565815
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery curve says; ``reason`` is empty, or says why it says nothing, and all numbers are None then.

    Parameters
    ----------
    mobile_fraction, mobile_fraction_se : float, optional
        Share of the molecules that are exchanged, and its standard error.
    half_time_s, half_time_se_s : float, optional
        Time to half of the recovery, and its standard error.
    bleached : float, optional
        Share of the region's light that was gone right after the fire.
    residual : float, optional
        Standard deviation of the points about the fit; 1 is the brightness before the fire.
    model : str
    reason : str
    """

    mobile_fraction: float | None = None
    mobile_fraction_se: float | None = None
    half_time_s: float | None = None
    half_time_se_s: float | None = None
    bleached: float | None = None
    residual: float | None = None
    model: Model = "exponential"
    reason: str = ""

    def __str__(self) -> str:
        if self.reason or self.mobile_fraction is None or self.half_time_s is None:
            return f"refused: {self.reason}"
        return (
            f"mobile fraction {self.mobile_fraction:.3f} +- {self.mobile_fraction_se:.3f}, "
            f"half-time {self.half_time_s:.3g} +- {self.half_time_se_s:.2g} s, bleached {self.bleached:.2f}"
        )

    @property
    def short(self) -> str:
        """The numbers for a legend."""
        if self.reason or self.mobile_fraction is None or self.half_time_s is None:
            return "refused"
        return f"mobile {100 * self.mobile_fraction:.1f} %, half-time {self.half_time_s:.3g} s"

    def at(self, time_s: npt.ArrayLike) -> Floats:
        """The fitted curve at times after the fire; NaN where there is no fit."""
        times = np.asarray(time_s, float)
        if self.mobile_fraction is None or self.half_time_s is None or self.bleached is None:
            return np.full(times.shape, np.nan)
        gained = _SHAPES[self.model](times / self.half_time_s)
        return np.asarray(1 - self.bleached + self.mobile_fraction * self.bleached * gained)


def fit_recovery(
    time_s: npt.ArrayLike,
    values: npt.ArrayLike,
    model: Model = "exponential",
    before: npt.ArrayLike | None = None,
) -> Recovery:
    """Fit a recovery curve; a curve that does not say enough is refused with a reason.

    Parameters
    ----------
    time_s : (N,) array
        Times of the images since the end of the fire.
    values : (N,) array
        Double-normalised brightness; its scale does not matter.
    model : {"exponential", "diffusion"}
        ``1 - b + b m g(t / T)`` with the share b that was bleached, the mobile fraction m and the half-time T.
        ``exponential``: ``g(u) = 1 - 2^-u``, one rate, as where binding or a barrier sets the pace (Sprague et al.
        2004, doi:10.1529/biophysj.103.026765). ``diffusion``: free diffusion into a circle (Soumpasis 1983,
        doi:10.1016/S0006-3495(83)84410-5); of a circle of radius r the diffusion constant is ``0.224 r^2 / T``.
    before : (N,) bool, optional
        The images before the fire; left out: those with times below 0.

    Returns
    -------
    Recovery
        The standard errors hold the scatter of the points after the fire and of those before it.

    Raises
    ------
    InvalidInput
        Unknown model, different lengths, or values that are no finite numbers.
    """
    times, found = np.asarray(time_s, float), np.asarray(values, float)
    if model not in MODELS:
        raise InvalidInput(
            Finding(
                "is no model of a recovery.",
                function="fit_recovery",
                parameter="model",
                got=repr(model),
                allowed=one_of(MODELS),
                suggestion=did_you_mean(model, MODELS),
            )
        )
    if times.ndim != 1 or times.shape != found.shape or not np.isfinite([times, found]).all():
        raise InvalidInput(_finding("times and values must be equally long finite numbers", "values"))
    first = times < 0 if before is None else np.asarray(before, bool)
    reason = _too_few(int(first.sum()), int((~first).sum()))
    if reason:
        return Recovery(model=model, reason=reason)
    order = np.argsort(times[~first], kind="stable")
    return _judged(times[~first][order], found[~first][order], found[first], model)


@dataclass(frozen=True, slots=True)
class _Fit:
    """``low + gain g(t / half)`` after the fire, ``level`` before it, and the covariance of (low, gain, half).

    ``seen`` and ``sure`` are in variances of a point: how much better it fits than no recovery, and than the longest
    half-time of which the plateau would be reached.
    """

    level: float
    low: float
    gain: float
    half_s: float
    noise: float
    level_se: float
    covariance: Floats
    seen: float
    sure: float

    @property
    def bleached(self) -> float:
        return 1 - self.low / self.level

    @property
    def bleached_se(self) -> float:
        slope = np.array([1 / self.level, 0.0, 0.0])
        return float(np.hypot(self._spread(slope), self.low / self.level**2 * self.level_se))

    @property
    def mobile(self) -> float:
        return self.gain / (self.level - self.low)

    @property
    def mobile_se(self) -> float:
        depth = self.level - self.low
        slope = np.array([self.gain / depth**2, 1 / depth, 0.0])
        return float(np.hypot(self._spread(slope), self.gain / depth**2 * self.level_se))

    @property
    def half_se_s(self) -> float:
        return self._spread(np.array([0.0, 0.0, 1.0]))

    def _spread(self, slope: Floats) -> float:
        return float(np.sqrt(max(float(slope @ self.covariance @ slope), 0.0)))


def _judged(times: Floats, values: Floats, before: Floats, model: Model) -> Recovery:
    fit = _fitted(times, values, before, model)
    reason = _doubt(fit, times, values, model)
    if reason:
        return Recovery(model=model, reason=reason)
    return Recovery(
        mobile_fraction=fit.mobile,
        mobile_fraction_se=fit.mobile_se,
        half_time_s=fit.half_s,
        half_time_se_s=fit.half_se_s,
        bleached=fit.bleached,
        residual=fit.noise / fit.level,
        model=model,
    )


def _fitted(times: Floats, values: Floats, before: Floats, model: Model) -> _Fit:
    """Least squares: the half-time by search, all else is linear."""
    from scipy.optimize import minimize_scalar

    shape = _SHAPES[model]

    def misfit(log_half: float) -> float:
        return _line(shape(times / np.exp(log_half)), values)[2]

    step = float(np.median(np.diff(times))) or float(np.ptp(times)) / len(times)
    grid = np.linspace(np.log(step / 8), np.log(20 * times[-1]), _STEPS)
    best = int(np.argmin([misfit(float(each)) for each in grid]))
    bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _STEPS - 1)])
    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    half_s = float(np.exp(float(found.x)))
    gained = shape(times / half_s)
    low, gain, squares = _line(gained, values)
    level = float(before.mean())
    still = float(((values - values.mean()) ** 2).sum()) - squares
    longest = misfit(float(np.log(times[-1] / FEWEST_HALF_TIMES))) - squares
    squares += float(((before - level) ** 2).sum())
    noise = float(np.sqrt(squares / max(len(times) + len(before) - 4, 1)))
    nudge = 1e-4
    slope = (shape(times / (half_s * (1 + nudge))) - shape(times / (half_s * (1 - nudge)))) / (
        2 * nudge * half_s
    )
    jacobian = np.stack([np.ones_like(gained), gained, gain * slope], axis=1)
    covariance = noise**2 * np.linalg.pinv(jacobian.T @ jacobian)
    variance = max(noise, 1e-9 * abs(level)) ** 2
    return _Fit(
        level,
        low,
        gain,
        half_s,
        noise,
        noise / np.sqrt(len(before)),
        covariance,
        still / variance,
        longest / variance,
    )


def _line(gained: Floats, values: Floats) -> tuple[float, float, float]:
    """Value at 0, slope and sum of squares of the straight line of ``values`` over ``gained``."""
    middle, mean = gained.mean(), values.mean()
    spread = float(((gained - middle) ** 2).sum())
    slope = float(((gained - middle) * (values - mean)).sum()) / spread if spread > 1e-12 else 0.0
    low = float(mean - slope * middle)
    return low, slope, float(((values - low - slope * gained) ** 2).sum())


def _too_few(before: int, after: int) -> str:
    if before < FEWEST_BEFORE:
        return "there is no image before the fire"
    if after < FEWEST_AFTER:
        return f"too few images after the fire: {after}, at least {FEWEST_AFTER} are needed"
    return ""


def _doubt(fit: _Fit, times: Floats, values: Floats, model: Model) -> str:
    """Why the fit says nothing; empty if nothing speaks against it."""
    # The darkest moment may lie between the fire and the first image, where the fit alone knows it.
    drop = 1 - float(np.sort(values)[: max(len(values) // 8, 1)].mean()) / fit.level
    if not drop > LEAST_BLEACHED or fit.bleached < max(LEAST_BLEACHED, _SIGNIFICANT * fit.bleached_se):
        return (
            f"nothing was bleached: the darkest images after the fire are {100 * drop:.1f} % darker than those before "
            f"it, less than {100 * LEAST_BLEACHED:.0f} % or within the noise"
        )
    if fit.seen < _SEEN or fit.gain < 0.02 * fit.level * fit.bleached:
        return f"no recovery was seen within {times[-1]:.3g} s: what was bleached does not move, or takes much longer"
    if fit.half_s * FEWEST_HALF_TIMES > times[-1] or fit.sure < _SURE:
        return (
            f"no plateau was surely reached: the half-time is about {_about(fit.half_s, times[-1])}, but the recovery "
            f"was followed for {times[-1]:.3g} s, which is not clearly more than {FEWEST_HALF_TIMES:g} half-times"
        )
    step = float(np.median(np.diff(times)))
    if fit.half_s < _FASTEST * step:
        return f"the recovery is faster than the images: they are {step:.3g} s apart"
    if fit.noise > _LARGEST_MISFIT * fit.gain:
        return f"the curve does not follow the model '{model}', or is too noisy"
    if fit.mobile_se > _LARGEST_MOBILE_SE or fit.half_se_s > _LARGEST_HALF_TIME_SE * fit.half_s:
        return (
            f"the curve is too noisy: mobile fraction {fit.mobile:.2g} +- {fit.mobile_se:.1g}, "
            f"half-time {fit.half_s:.3g} +- {fit.half_se_s:.1g} s"
        )
    return ""


def _about(half_s: float, last_s: float) -> str:
    return f"{half_s:.3g} s" if half_s < 10 * last_s else f"more than {10 * last_s:.3g} s"


def _exponential(periods: Floats) -> Floats:
    return np.asarray(-np.expm1(-_LN2 * periods))


def _diffusion(periods: Floats) -> Floats:
    from scipy.special import ive

    with np.errstate(divide="ignore"):
        z = _DIFFUSION_HALF / np.asarray(periods, float)
    return np.where(np.isfinite(z), ive(0, z) + ive(1, z), 0.0)


# The share of the recovery that is done after so many half-times.
_SHAPES: Mapping[Model, Callable[[Floats], Floats]] = {"exponential": _exponential, "diffusion": _diffusion}


def _finding(message: str, parameter: str, got: object = None) -> Finding:
    return Finding(f"{message}.", parameter=parameter, got=None if got is None else str(got))
