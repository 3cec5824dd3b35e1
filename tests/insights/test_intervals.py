"""The intervals are the textbook's (statsmodels is the oracle), and looking often does not make an effect of none."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from onevoice.insights.intervals import (
    Interval,
    Paired,
    Sample,
    adjusted,
    among,
    anytime,
    newcombe,
    people_needed,
    proportion,
    smallest_effect,
    welch,
)


def sample(values: np.ndarray) -> Sample:
    return Sample(len(values), float(values.mean()), float(values.var(ddof=1)))


def paired(after: np.ndarray, before: np.ndarray) -> Paired:
    return Paired(sample(after), sample(before), float(np.cov(after, before)[0, 1]))


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_newcombes_interval_is_that_of_statsmodels(n_1: int, n_2: int, p_1: float, p_2: float) -> None:
    first, second = round(n_1 * p_1), round(n_2 * p_2)
    found = newcombe(first, n_1, second, n_2)
    low, high = confint_proportions_2indep(first, n_1, second, n_2, method="newcomb", compare="diff")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_newcombes_own_example() -> None:
    """56/70 against 48/80: 0.2 (0.0524 to 0.3339), table II(a) of the paper."""
    found = newcombe(56, 70, 48, 80)
    assert found is not None
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)


def test_welchs_interval_is_that_of_statsmodels() -> None:
    dice = np.random.default_rng(1)
    one, two = dice.exponential(30, 200), dice.exponential(20, 37)
    found = welch(sample(one), sample(two))
    low, high = CompareMeans(DescrStatsW(one), DescrStatsW(two)).tconfint_diff(usevar="unequal")
    assert found is not None and (found.low, found.high) == pytest.approx((low, high))


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.integers(3, 300), st.integers(3, 300))
@settings(max_examples=50, deadline=None)
def test_what_is_adjusted_is_the_arms_coefficient_in_the_regression(
    seed: int, slope: float, n_1: int, n_2: int
) -> None:
    dice = np.random.default_rng(seed)
    before = dice.exponential(20, n_1 + n_2)
    arm = np.repeat([1.0, 0.0], [n_1, n_2])
    after = slope * before + 5 * arm + dice.normal(0, 10, n_1 + n_2)
    first, second, explained = adjusted(paired(after[:n_1], before[:n_1]), paired(after[n_1:], before[n_1:]))
    fit = sm.OLS(after, sm.add_constant(np.column_stack([arm, before]))).fit(cov_type="HC2")
    found = welch(first, second)
    assert found is not None and found.value == pytest.approx(fit.params[1], abs=1e-8)
    assert 0 <= explained <= 1
    if min(n_1, n_2) > 100:
        assert found.high - found.value == pytest.approx(1.96 * fit.bse[1], rel=0.1)


def test_without_a_past_nothing_is_adjusted() -> None:
    nothing = Sample(10, 0.0, 0.0)
    arms = [Paired(Sample(10, mean, 4.0), nothing, 0.0) for mean in (3.0, 1.0)]
    assert adjusted(*arms) == (arms[0].after, arms[1].after, 0.0)


def test_looking_every_day_makes_no_effect_of_none() -> None:
    """A thousand journeys without effect, looked at fifty times each: the fixed interval is wrong for many of them."""
    dice = np.random.default_rng(7)
    fooled = {"fixed": 0, "anytime": 0}
    journeys, looks, group = 1_000, 50, 40
    for _ in range(journeys):
        values = dice.exponential(1.0, (2, looks * group))
        counts = np.arange(1, looks + 1) * group
        sums, squares = values.cumsum(1)[:, counts - 1], (values**2).cumsum(1)[:, counts - 1]
        wrong = {"fixed": False, "anytime": False}
        for place, n in enumerate(counts):
            means = sums[:, place] / n
            spreads = (squares[:, place] - n * means**2) / (n - 1)
            one, two = (Sample(int(n), float(means[arm]), float(spreads[arm])) for arm in (0, 1))
            for name, found in (("fixed", welch(one, two)), ("anytime", anytime(one, two, 2 * looks * group))):
                assert found is not None
                wrong[name] |= found.shows
        for name, was in wrong.items():
            fooled[name] += was
    assert fooled["anytime"] <= 0.05 * journeys < 0.2 * journeys < fooled["fixed"]


def test_the_smallest_effect_is_what_statsmodels_says() -> None:
    effect = smallest_effect(variance=400.0, n_1=900, n_2=100)
    standard = NormalIndPower().solve_power(nobs1=900, alpha=0.05, power=0.8, ratio=100 / 900)
    assert effect / 20 == pytest.approx(standard, rel=1e-4)
    assert people_needed(effect, 400.0, 0.1) == pytest.approx(1_000)


def test_a_share_of_few_is_not_certain() -> None:
    assert proportion(0, 3).variance > 0.1 and proportion(0, 3).mean == 0.0
    assert proportion(500, 1_000).variance == pytest.approx(0.25)


def test_several_comparisons_hold_together() -> None:
    assert among(0.95, 1) == pytest.approx(0.95) and among(0.95, 3) ** 3 == pytest.approx(0.95)


def test_an_interval_over_many_people_keeps_its_order() -> None:
    assert Interval(1, -1, 2).times(-2) == Interval(-2, -4, 2)
