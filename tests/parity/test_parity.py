"""Agreement with PyTorch: with golden numbers anywhere, live where it is installed."""

import numpy as np
import pytest
import scipy.stats

from experiments.support.parity import cases, checks, ours
from tests.parity import golden

QUICK = [name for name, check in checks.CHECKS.items() if check.in_golden]


def assert_within(found, tolerances):
    assert found.keys() == tolerances.keys()
    for group, error in found.items():
        assert error <= tolerances[group], (group, error)


@pytest.mark.parametrize("name", QUICK)
def test_our_numbers_equal_pytorchs_golden_numbers(name):
    check = checks.CHECKS[name]
    found = checks.errors(checks.digest(check.run(ours)), golden.load(name))
    assert_within(found, check.tolerances)


@pytest.mark.torch
@pytest.mark.parametrize("name", checks.CHECKS)
def test_our_numbers_equal_pytorchs_live_numbers(name):
    from experiments.support.parity import theirs

    check = checks.CHECKS[name]
    found = checks.errors(check.run(ours), check.run(theirs))
    assert_within(found, check.tolerances)


@pytest.mark.torch
@pytest.mark.parametrize("network", cases.NETWORKS)
def test_a_fresh_head_has_pytorchs_distribution(network):
    from experiments.support.parity import theirs

    mine, other = ours.heads(network), theirs.heads(network)
    for part in ("kernel", "bias"):
        assert mine[part].shape == other[part].shape
        if not other[part].any():
            np.testing.assert_array_equal(mine[part], 0)
            continue
        test = scipy.stats.ks_2samp(mine[part].ravel(), other[part].ravel())
        assert test.pvalue > 1e-3
        # The same bounds: the largest of 1,000 values is within 1% of the bound.
        assert abs(mine[part]).max() == pytest.approx(abs(other[part]).max(), rel=0.01)


def test_checks_notice_small_differences():
    values = {"logits": np.arange(1.0, 1000)}
    changed = {"logits": values["logits"] * (1 + 1e-7)}
    assert checks.errors(changed, values)["logits"] == pytest.approx(1e-7, rel=1e-3)
    found = checks.errors(checks.digest(changed), checks.digest(values))
    assert found["logits"] == pytest.approx(1e-7, rel=1e-3)
    one = values["logits"].copy()
    one[7] += 0.01
    found = checks.errors(checks.digest({"logits": one}), checks.digest(values))
    assert found["logits"] > 1e-7
    one[7] = np.nan
    assert checks.errors({"logits": one}, values)["logits"] == float("inf")
    with pytest.raises(ValueError, match="names differ"):
        checks.errors({"loss": one}, values)
