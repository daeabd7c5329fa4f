"""The figure of a diagnosis."""

import numpy as np
from matplotlib import pyplot as plt

from normtest_tf.diagnosis import Explanation
from normtest_tf.diagnosis.findings import SettingFindings
from plots import diagnosis


def finding(name, *distances):
    moments = (0.0,) * 3, (1.0,) * 3
    return SettingFindings(name, None, *moments, distances, distances, {}, {}, {})


def test_it_draws_every_setting_by_depth():
    found = Explanation(
        *("m", "d", 9, (8, 8, 3), ("a", "b", "c")),
        (finding("pretrain", 1, 2, 3), finding("finetune", 1, 1, 5)),
        *({}, 0.1, (), ()),
    )
    figure = diagnosis.distances_figure(found)
    stored, extra = figure.axes
    assert [line.get_label() for line in stored.lines] == ["pretrain", "finetune"]
    np.testing.assert_array_equal(
        stored.lines[1].get_xydata(), [[1, 1], [2, 1], [3, 5]]
    )
    np.testing.assert_array_equal(extra.lines[0].get_ydata(), [0, 0, 0])
    np.testing.assert_array_equal(extra.lines[1].get_ydata(), [0, -1, 2])
    plt.close(figure)
