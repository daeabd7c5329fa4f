"""Runs whose workers die begin again, on an executor that follows a script."""

import dataclasses
import os
import signal

import pytest

from normtest_tf import errors, text
from normtest_tf.runs import FailureRecord
from normtest_tf.sweeps import runner
from tests.helpers.records import RESULT
from tests.sweeps.helpers import FakeExecutor, configurations, write_record

DIED = errors.WorkerDied("node b died")
LOCKED = errors.Locked("another process is writing to it")


@pytest.fixture
def configs(tmp_path):
    return configurations(
        tmp_path, normalizations=["pretrain", "finetune", "minmax"], seeds=[1]
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)


def settings(executor):
    return [config.normalization for config in executor.started]


def test_a_run_whose_worker_died_begins_again_before_others(configs):
    executor = FakeExecutor({"pretrain": [DIED]})
    lines = []
    tally = runner.run_all(configs, lines.append, executor)
    assert settings(executor) == ["pretrain", "pretrain", "finetune", "minmax"]
    assert (tally.done, tally.failed) == (3, 0)
    assert lines[:2] == [
        "run 1/3: digits cifar_resnet8 pretrain seed 1 | 0 done",
        "  node b died; the run will be resumed",
    ]
    assert lines[2].startswith("run 1/3: digits cifar_resnet8 pretrain seed 1 | 0 done")
    assert not configs[0].folder.failure.exists()


def test_what_kills_its_worker_each_time_has_failed(configs):
    executor = FakeExecutor({"finetune": [DIED] * 9})
    tally = runner.run_all(configs, text.ignore, executor, reschedules=2)
    assert settings(executor) == ["pretrain", *["finetune"] * 3, "minmax"]
    assert (tally.done, tally.failed) == (2, 1)
    assert FailureRecord.read(configs[1].folder).error == "node b died"


def test_failures_of_a_run_itself_are_not_tried_again(configs):
    failed = errors.TrainingFailed("train_loss", 3, 2, 0.1)
    script = {"pretrain": [errors.UsageError("no such file")], "finetune": [failed]}
    executor = FakeExecutor(script)
    tally = runner.run_all(configs, text.ignore, executor)
    assert settings(executor) == ["pretrain", "finetune", "minmax"]
    assert (tally.done, tally.failed) == (1, 2)
    assert FailureRecord.read(configs[0].folder).error == "no such file"


@pytest.mark.parametrize("has_begun", [True, False])
def test_overwrite_does_not_discard_what_the_run_has_written(configs, has_begun):
    write_record(configs[0])  # Of the run that is to be replaced.

    def die(config):
        if has_begun:
            write_record(config)
        return DIED

    config = dataclasses.replace(configs[0], overwrite=True)
    executor = FakeExecutor({"pretrain": [die]})
    runner.run_all([config], text.ignore, executor)
    assert [run.overwrite for run in executor.started] == [True, not has_begun]


def test_a_lock_that_a_lost_worker_still_holds_is_waited_for(configs):
    executor = FakeExecutor({"pretrain": [DIED, LOCKED, LOCKED]})
    lines = []
    tally = runner.run_all(configs, lines.append, executor)
    assert settings(executor).count("pretrain") == 4
    assert (tally.done, tally.elsewhere) == (3, 0)
    assert sum(line.startswith("run 1/3") for line in lines) == 2


def test_a_run_that_is_locked_from_the_start_is_left_to_others(configs):
    executor = FakeExecutor({"pretrain": [LOCKED]})
    tally = runner.run_all(configs, text.ignore, executor)
    assert settings(executor) == ["pretrain", "finetune", "minmax"]
    assert (tally.done, tally.elsewhere) == (2, 1)


def test_all_slots_are_used_and_lines_name_their_run(configs):
    executor = FakeExecutor(number=2)
    lines = []
    runner.run_all(configs, lines.append, executor)
    assert executor.most == 2
    assert [line.partition(" | ")[0] for line in lines[:3]] == [
        "run 1/3: digits cifar_resnet8 pretrain seed 1",
        "run 2/3: digits cifar_resnet8 finetune seed 1",
        "  digits cifar_resnet8 pretrain seed 1: "
        f"{RESULT.final_test_accuracy:.2%} test accuracy, "
        f"{text.duration(RESULT.total_seconds)}",
    ]


def test_a_signal_stops_what_runs_and_begins_nothing(configs):
    hint = "results keep 3 of 5 epochs; the same command resumes there"

    def interrupt(config):
        os.kill(os.getpid(), signal.SIGTERM)
        return RESULT

    stopped = errors.Interrupted(hint, signal.SIGTERM)
    script = {"pretrain": [interrupt], "finetune": [stopped]}
    executor = FakeExecutor(script, number=2)
    with pytest.raises(errors.Interrupted, match=hint) as caught:
        runner.run_all(configs, text.ignore, executor)
    assert caught.value.status == 143
    assert (settings(executor), executor.stopped) == (["pretrain", "finetune"], 1)


def test_a_worker_that_is_stopped_stops_the_sweep(configs):
    stopped = errors.Interrupted("the rest is kept", signal.SIGTERM)
    executor = FakeExecutor({"pretrain": [stopped], "finetune": [stopped]}, number=2)
    with pytest.raises(errors.Interrupted, match="same command resumes 2 runs"):
        runner.run_all(configs, text.ignore, executor)
    assert settings(executor) == ["pretrain", "finetune"]
