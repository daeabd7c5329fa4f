"""How long runs take, from finished ones or from a few steps."""

import dataclasses
import itertools

import pytest

from normtest_tf.sweeps import estimates
from tests.helpers.fake_results import write_run
from tests.sweeps.helpers import configurations

CELL = ("digits", "cifar_resnet8")


def test_finished_runs_are_measured(tmp_path):
    write_run(tmp_path, dataset="digits", model="cifar_resnet8", seed=1)
    unfinished = write_run(tmp_path, dataset="cifar10", model="resnet18")
    (unfinished / "result.json").unlink()
    damaged = write_run(tmp_path, dataset="cifar100", model="resnet18")
    (damaged / "result.json").write_text("")
    assert estimates.measured_seconds(str(tmp_path)) == {CELL: 60.0}


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
    configs = configurations(tmp_path, seeds=[1, 2, 3])
    clock = estimates.Clock({CELL: 60.0})
    assert [clock.left(configs, slots) for slots in (1, 2, 64)] == [360, 180, 60]
    assert clock.left([], 2) == 0
    assert estimates.Clock({}).left(configs, 1) is None
    other = configurations(tmp_path, models=["resnet18"])  # As long as the others.
    assert clock.left(other, 1) == 240


def test_a_clock_learns_from_runs_that_end(tmp_path, monkeypatch):
    seconds = itertools.count(0, 40)
    monkeypatch.setattr(estimates.time, "monotonic", lambda: float(next(seconds)))
    clock = estimates.Clock({CELL: 60.0})
    first, second, *rest = configurations(tmp_path)
    clock.start(first)
    clock.start(second)
    assert clock.left(rest, 1) == 120 + 0 + 20  # The first is later than usual.
    clock.stop(first, 120.0)
    clock.stop(second)
    assert clock.left(rest, 1) == pytest.approx(180)


def test_runs_share_the_preparation_of_what_is_measured_once(tmp_path, monkeypatch):
    cost = estimates.Cost(preparation=90.0, trained=0.01, evaluated=0.001)
    monkeypatch.setattr(estimates, "measure", lambda config, size: cost)
    lines = []
    settings = ["pretrain", "finetune", "instance"]
    axes = {"train": ["all", "head"], "shift": ["none", "invert"]}
    configs = configurations(tmp_path, normalizations=settings, **axes)
    seconds = estimates.expected_seconds(configs, lines.append)
    assert [line.partition(" | ")[0] for line in lines] == [
        "measuring 1/2: cifar_resnet8 at 32x32, --train=all",
        "measuring 2/2: cifar_resnet8+head at 32x32, --train=head",
    ]
    assert len(seconds) == 4
    # A worker ends after four graphs, so two of three runs trace one.
    epoch = 64 * 0.01 + 64 * 0.001
    expected = 60 + estimates.RUN_SECONDS + epoch
    head = expected - 64 * 0.01 + 64 * 0.001
    assert list(seconds.values()) == pytest.approx([expected, head] * 2)
    longer = dataclasses.replace(configs[0], epochs=9, validation_examples=10)
    assert cost.of(longer, 64, 64) == pytest.approx(
        estimates.RUN_SECONDS + 9 * (54 * 0.01 + 74 * 0.001)
    )
    once = dataclasses.replace(longer, train="head", augmentation="none")
    assert cost.of(once, 64, 64) == estimates.RUN_SECONDS + 0.128
    varied = dataclasses.replace(once, augmentation=None)
    assert cost.of(varied, 64, 64) == pytest.approx(estimates.RUN_SECONDS + 0.64)
    assert list(tmp_path.iterdir()) == []


def test_what_training_costs_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "ENOUGH_SECONDS", 0.1)
    config, *_ = configurations(tmp_path)
    cost = estimates.measure(config, 32)
    # On the slowest machine a run of this network would still take hours for millions.
    assert 0 < cost.evaluated < cost.trained < cost.preparation
