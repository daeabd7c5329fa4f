import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import effects


@pytest.mark.parametrize("difference", [0.5, 0.3, 0.2])
def test_the_pairs_needed_have_the_power_in_simulations(difference):
    needed = effects.pairs_needed(sd=0.44, difference=difference)

    def detected(pairs):
        samples = np.random.default_rng(5).normal(difference, 0.44, (4000, pairs))
        return np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)

    assert detected(needed) > 0.78
    assert detected(needed - 1) < 0.82


def test_pairs_needed_are_found_where_scipys_noncentral_t_is_nan():
    # scipy.stats.nct.cdf(-12.7, 1, 8) is NaN. The power at 2 pairs is 0.47.
    assert effects.pairs_needed(sd=1, difference=8 / math.sqrt(2)) == 3


def test_no_number_of_pairs_detects_a_difference_of_0():
    with pytest.raises(ValueError, match="difference"):
        effects.pairs_needed(sd=0.4, difference=0)
    with pytest.raises(ValueError, match="sd"):
        effects.pairs_needed(sd=math.nan, difference=1)
    with pytest.raises(ValueError, match="margin"):
        effects.equivalence_p_value([1, 2], 0)
    assert effects.pairs_needed(sd=0, difference=1) == 2
