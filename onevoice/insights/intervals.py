"""The statistics of a comparison of two arms, pure: from moments to differences with their intervals.

Two kinds of interval. The fixed one holds at one look, chosen beforehand. The *anytime* one holds at every look at
once, so a marketer may look daily and stop when it excludes zero; it is wider, which is the price.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

from scipy.special import stdtrit

CONFIDENCE = 0.95
POWER = 0.8
"""How surely an effect of the size named is to be seen."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Interval":
        """The same, of `factor` people, messages, euros."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(self.value * factor, low, high)

    @property
    def shows(self) -> bool:
        """Whether it excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Sample:
    """A figure over the people of an arm; the variance is the sample's (divisor n - 1)."""

    n: int
    mean: float
    variance: float


@dataclass(frozen=True)
class Paired:
    """A figure beside what the same people did before, with the sample's covariance of the two."""

    after: Sample
    before: Sample
    covariance: float


def newcombe(converted_1: int, n_1: int, converted_2: int, n_2: int, confidence: float = CONFIDENCE) -> Interval | None:
    """The difference of two proportions with Newcombe's hybrid score interval; None where an arm is empty.

    Newcombe 1998, Statistics in Medicine 17:873-890, method 10.
    """
    if not n_1 or not n_2:
        return None
    (p_1, low_1, high_1), (p_2, low_2, high_2) = (
        _wilson(converted_1, n_1, confidence),
        _wilson(converted_2, n_2, confidence),
    )
    difference = p_1 - p_2
    low = difference - sqrt((p_1 - low_1) ** 2 + (high_2 - p_2) ** 2)
    high = difference + sqrt((high_1 - p_1) ** 2 + (p_2 - low_2) ** 2)
    return Interval(difference, low, high)


def _wilson(converted: int, n: int, confidence: float) -> tuple[float, float, float]:
    """A proportion with Wilson's score interval."""
    z = _z(confidence)
    p = converted / n
    middle = p + z * z / (2 * n)
    spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return p, (middle - spread) / scale, (middle + spread) / scale


def welch(first: Sample, second: Sample, confidence: float = CONFIDENCE) -> Interval | None:
    """The difference of two means with Welch's interval (unequal variances); None for arms below two people."""
    if first.n < 2 or second.n < 2:
        return None
    one, two = first.variance / first.n, second.variance / second.n
    difference = first.mean - second.mean
    if one + two == 0:
        return Interval(difference, difference, difference)
    freedom = (one + two) ** 2 / (one**2 / (first.n - 1) + two**2 / (second.n - 1))
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * sqrt(one + two)
    return Interval(difference, difference - reach, difference + reach)


def adjusted(first: Paired, second: Paired) -> tuple[Sample, Sample, float]:
    """Both arms with what people did before taken out, and the share of the variance that this explains (CUPED).

    Y - theta (X - mean of X), theta the slope of Y on X within the arms: Deng, Xu, Kohavi and Walker 2013, "Improving
    the sensitivity of online controlled experiments by utilizing pre-experiment data", WSDM. The difference of the
    adjusted means is the arm's coefficient in the regression of Y on arm and X.
    """
    freedom = (first.after.n - 1, second.after.n - 1)
    spread = freedom[0] * first.before.variance + freedom[1] * second.before.variance
    together = freedom[0] * first.covariance + freedom[1] * second.covariance
    theta = together / spread if spread > 0 else 0.0
    n = first.after.n + second.after.n
    middle = (first.after.n * first.before.mean + second.after.n * second.before.mean) / n if n else 0.0
    samples = [
        Sample(
            arm.after.n,
            arm.after.mean - theta * (arm.before.mean - middle),
            # A variance is not below zero, whatever rounding makes of it.
            max(0.0, arm.after.variance - 2 * theta * arm.covariance + theta**2 * arm.before.variance),
        )
        for arm in (first, second)
    ]
    whole = freedom[0] * first.after.variance + freedom[1] * second.after.variance
    return samples[0], samples[1], theta * together / whole if whole > 0 else 0.0


def anytime(first: Sample, second: Sample, planned: int, confidence: float = CONFIDENCE) -> Interval | None:
    """The difference of two means with an interval that holds at all looks at once; None for arms below two people.

    `planned` is the number of people of both arms at which it is to be narrowest. An asymptotic confidence sequence:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 52:2613-2640, theorem 2.2 and, for rho, its appendix on the choice of parameter.
    """
    if first.n < 2 or second.n < 2:
        return None
    difference = first.mean - second.mean
    # Deviation of the estimate were it a mean of n values, so that the theorem, which is of one mean, applies.
    variance = first.variance / first.n + second.variance / second.n
    n, alpha = first.n + second.n, 1 - confidence
    rho = (-2 * log(alpha) + log(-2 * log(alpha)) + 1) / max(planned, 2)  # the square of the paper's
    reach = sqrt(variance) * sqrt(2 * (n * rho + 1) / (n * rho) * log(sqrt(n * rho + 1) / alpha))
    return Interval(difference, difference - reach, difference + reach)


def proportion(converted: int, n: int) -> Sample:
    """A share as a sample. One more of each kind is added to its variance, so that nobody of three is not "never"."""
    smoothed = (converted + 1) / (n + 2)
    return Sample(n, converted / n if n else 0.0, smoothed * (1 - smoothed))


def smallest_effect(
    variance: float, n_1: float, n_2: float, power: float = POWER, confidence: float = CONFIDENCE
) -> float:
    """The difference of two means that is seen with `power`, where both arms have this variance (two-sided test)."""
    return (_z(confidence) + NormalDist().inv_cdf(power)) * sqrt(variance / n_1 + variance / n_2)


def people_needed(
    effect: float, variance: float, share: float, power: float = POWER, confidence: float = CONFIDENCE
) -> float:
    """How many people of both arms are needed to see the effect with `share` of them in the second arm."""
    return ((_z(confidence) + NormalDist().inv_cdf(power)) / effect) ** 2 * variance * (1 / (1 - share) + 1 / share)


def among(confidence: float, comparisons: int) -> float:
    """The confidence each of several comparisons needs for all to hold together (Šidák 1967)."""
    return exp(log(confidence) / max(comparisons, 1))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
