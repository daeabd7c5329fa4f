"""A run's duration, estimated from a few steps."""

import dataclasses

from normtest_tf.sweeps import probe
from tests.sweeps.helpers import configurations


def test_longer_runs_take_longer(tmp_path):
    config = configurations(tmp_path)[0]
    seconds = probe.probe_seconds(config)
    longer = probe.probe_seconds(dataclasses.replace(config, epochs=10_000))
    assert 0 < seconds < longer
    assert list(tmp_path.iterdir()) == []
