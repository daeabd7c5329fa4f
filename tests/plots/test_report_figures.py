import pytest
from matplotlib import pyplot as plt

from normtest_tf.analysis import comparisons
from normtest_tf.runs.folder import FINAL
from plots import forest
from plots import report_figures as figures
from tests.helpers.fake_results import CELLS


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def notes(ax):
    return ["scale differs"] * ("(scale differs)" in ax.get_title(loc="left"))


def test_accuracies_have_a_panel_for_each_data_set_and_model(study):
    figure = figures.accuracy_figure(study)
    shown = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert shown == [f"{model} on {dataset}" for dataset, model in CELLS]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == study.settings


def test_panels_share_a_scale_unless_they_say_otherwise(study):
    compared = comparisons.compare_all(study, rule=FINAL, margin=0.5)
    panels = [forest.Panel(comparison) for comparison in compared]
    axes = figures.effects_figure(panels).axes
    for ax, panel in zip(axes, panels, strict=True):
        low, high = ax.get_xlim()
        assert low < panel.extent[0] < panel.extent[1] < high
        assert notes(ax) == []
    assert len({ax.get_xlim() for ax in axes}) == 1


def test_as_many_panels_as_possible_share_a_scale(comparison):
    near, far, further = (
        forest.Panel(comparison, {CELLS[0]: value}) for value in (1.0, -20.0, -30.0)
    )
    axes = figures.effects_figure([near, far, further]).axes
    assert [notes(ax) for ax in axes] == [["scale differs"], [], []]
    assert axes[0].get_xlim() != axes[1].get_xlim() == axes[2].get_xlim()
    assert axes[2].get_xlim()[0] < -30
    pair = figures.effects_figure([far, near]).axes
    assert [notes(ax) for ax in pair] == [[], ["scale differs"]]


def test_many_comparisons_wrap_to_a_second_row(comparison):
    figure = figures.effects_figure([forest.Panel(comparison)] * 4)
    assert [ax.axison for ax in figure.axes] == [True] * 4 + [False] * 2
    labelled = [bool(ax.get_yticklabels()[0].get_text()) for ax in figure.axes[:4]]
    assert labelled == [True, False, False, True]
