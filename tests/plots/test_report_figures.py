import pytest
from matplotlib import pyplot as plt

from normtest_tf.analysis import comparisons
from normtest_tf.runs.history import FINAL
from plots import forest
from plots import report_figures as figures
from tests.helpers.fake_results import CELLS


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def notes(ax):
    return [text.get_text() for text in ax.texts if "scale" in text.get_text()]


def test_accuracies_have_a_panel_for_each_data_set_and_model(study):
    figure = figures.accuracy_figure(study)
    shown = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert shown == [f"{model} on {dataset}" for dataset, model in CELLS]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == study.settings


def test_panels_share_a_scale_unless_they_say_otherwise(study):
    compared = comparisons.compare_all(study, rule=FINAL, margin=0.5)
    panels = [forest.Panel(comparison) for comparison in compared]
    figure = figures.effects_figure([*panels[:2], forest.Panel(compared[2], {})])
    limits = [ax.get_xlim() for ax in figure.axes]
    for ax, panel, (low, high) in zip(figure.axes, panels, limits, strict=True):
        assert low < panel.extent[0]
        assert high > panel.extent[1]
        assert notes(ax) == []
    assert len(set(limits)) == 1


def test_a_panel_that_needs_another_scale_says_so(study):
    compared = comparisons.compare_all(study, rule=FINAL, margin=0.5)
    far = forest.Panel(compared[1], {CELLS[0]: -30.0})
    panels = [forest.Panel(compared[0]), far, forest.Panel(compared[2])]
    finetune, instance, minmax = figures.effects_figure(panels).axes
    assert finetune.get_xlim() == minmax.get_xlim() != instance.get_xlim()
    assert instance.get_xlim()[0] < -30
    assert [notes(ax) for ax in (finetune, instance, minmax)] == [
        [],
        ["scale differs"],
        [],
    ]


def test_as_many_panels_as_possible_share_a_scale(comparison):
    near, far, further = (
        forest.Panel(comparison, {CELLS[0]: value}) for value in (1.0, -20.0, -30.0)
    )
    axes = figures.effects_figure([near, far, further]).axes
    assert [notes(ax) for ax in axes] == [["scale differs"], [], []]
    assert axes[0].get_xlim() != axes[1].get_xlim() == axes[2].get_xlim()


def test_many_comparisons_wrap_to_a_second_row(comparison):
    figure = figures.effects_figure([forest.Panel(comparison)] * 4)
    assert [ax.axison for ax in figure.axes] == [True] * 4 + [False] * 2
    labelled = [bool(ax.get_yticklabels()[0].get_text()) for ax in figure.axes[:4]]
    assert labelled == [True, False, False, True]
