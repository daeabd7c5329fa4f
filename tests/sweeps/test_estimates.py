"""How long runs take, from finished ones or from a few steps."""

import dataclasses

import pytest

from normtest_tf.sweeps import estimates
from tests.helpers.fake_results import write_run
from tests.sweeps.helpers import configurations


def test_the_time_left_is_estimated_from_finished_runs(tmp_path):
    write_run(tmp_path, dataset="digits", model="cifar_resnet8", seed=1)
    unfinished = write_run(tmp_path, dataset="cifar10", model="resnet18")
    (unfinished / "result.json").unlink()
    measured = estimates.measured_seconds(str(tmp_path))
    assert measured == {("digits", "cifar_resnet8"): 60.0}
    models = ["cifar_resnet8", "resnet18"]
    configs = configurations(tmp_path, models=models, seeds=[1])
    names = [config.name for config in configs]
    assert estimates.seconds_left(names, measured) == 240
    assert estimates.seconds_left(names, {}) is None


def test_a_plan_has_a_row_for_each_cell(tmp_path):
    write_run(tmp_path, dataset="digits", model="cifar_resnet8", seed=1)
    configs = configurations(tmp_path, models=["cifar_resnet8", "resnet18"])
    seconds = {config.name.cell: 90.0 for config in configs}
    header, *rows = estimates.plan_table(configs, seconds)
    assert len(header) == 8
    assert rows == [
        ("digits", "cifar_resnet8", "cifar10", "4", "1", "3", "90 s", "4 min"),
        ("digits", "resnet18", "none", "4", "0", "4", "90 s", "6 min"),
    ]


def test_slots_share_the_work_but_not_a_run(tmp_path):
    names = [config.name for config in configurations(tmp_path, seeds=[1, 2, 3])]
    measured = {names[0].cell: 60.0}
    assert estimates.seconds_left(names, measured, slots=2) == 180
    assert estimates.seconds_left(names, measured, slots=64) == 60
    running = {names[0]: 40.0, names[1]: 90.0}  # One takes longer than usual.
    assert estimates.seconds_left(names[:3], measured, 1, running) == 80
    assert estimates.seconds_left([], measured, slots=2) == 0


def test_a_clock_learns_from_runs_that_end(tmp_path):
    write_run(tmp_path, dataset="digits", model="cifar_resnet8", seed=1)
    clock = estimates.Clock(str(tmp_path))
    first, second, *rest = configurations(tmp_path)
    clock.start(first)
    clock.start(second)
    assert clock.left(rest, 1) == pytest.approx(240, abs=1)
    clock.stop(first, 120.0)
    clock.stop(second)
    assert clock.left(rest, 1) == pytest.approx(180)


def test_models_are_measured_once_and_equal_work_gets_equal_estimates(tmp_path):
    configs = configurations(tmp_path, train=["all", "head"], shift=["none", "invert"])
    lines = []
    seconds = estimates.expected_seconds(configs, lines.append)
    assert len(lines) == 2
    assert lines[0] == "measuring cifar_resnet8 at 32x32 ..."
    assert len(seconds) == 4
    assert len(set(seconds.values())) == 2
    longer = [dataclasses.replace(config, epochs=10_000) for config in configs[:1]]
    cell = configs[0].name.cell
    assert 0 < seconds[cell] < estimates.expected_seconds(longer)[cell]
    assert list(tmp_path.iterdir()) == []
