"""A run's duration, estimated from a few steps."""

import dataclasses

from normtest_tf.sweeps import estimates
from tests.sweeps.helpers import configurations


def test_longer_runs_take_longer(tmp_path):
    config = configurations(tmp_path)[0]
    seconds = estimates.probe_seconds(config)
    longer = estimates.probe_seconds(dataclasses.replace(config, epochs=10_000))
    assert 0 < seconds < longer
    assert list(tmp_path.iterdir()) == []
