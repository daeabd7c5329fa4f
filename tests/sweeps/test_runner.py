"""Sweeps with runs that fail, are finished, are locked, or whose workers die."""

import dataclasses

import keras
import numpy as np
import pytest

from normtest_tf import errors, text
from normtest_tf.runs import FailureRecord, finetuning
from normtest_tf.sweeps import executor, runner
from normtest_tf.system import files
from tests.datasets.helpers import write_folder, write_image
from tests.helpers.records import RESULT
from tests.sweeps.helpers import FakeExecutor, configurations, tiny_runs, write_record

DIED = errors.WorkerDied("node b died")
LOCKED = errors.Locked("another process is writing to it")


def test_failures_and_locked_runs_do_not_stop_a_sweep(tmp_path, capfd):
    configs = [
        dataclasses.replace(config, seed=seed)
        for seed in (1, 2)
        for config in tiny_runs(tmp_path, epochs=1)
    ]
    huge = keras.models.load_model(configs[0].model)
    huge.layers[1].kernel.assign(np.full((3, 3, 3, 4), 3e38))
    huge.save(tmp_path / "huge.keras")
    diverging = dataclasses.replace(configs[1], model=str(tmp_path / "huge.keras"))
    with files.only_writer(configs[2].folder.path):
        tally = runner.run_all([diverging, *configs[2:]], print)
    assert tally == runner.Tally(done=1, failed=1, elsewhere=1)
    failure = FailureRecord.read(diverging.folder)
    assert "is not finite at step " in failure.error
    assert failure.details["epoch"] == 1
    done = [each.is_done for each in (diverging, *configs[2:])]
    assert done == [False, False, True]
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("run 1/3: digits file-huge finetune seed 1 | 0 done")
    assert "  another process is running it" in lines
    assert "test accuracy, " in lines[-1]
    rest = [configs[0], *configs[2:]]
    here = [lambda config: executor.execute(config, text.ignore)] * 2
    again = FakeExecutor({"pretrain": here, "finetune": [errors.UsageError("typo")]})
    tally = runner.run_all([*rest, diverging], text.ignore, again)
    assert tally == runner.Tally(done=2, skipped=1, failed=1)
    assert all(config.is_done for config in rest)
    assert FailureRecord.read(diverging.folder).error == "typo"  # The latest.


def test_any_failure_of_a_run_can_cross_processes(configs, monkeypatch):
    monkeypatch.setattr(executor, "load", lambda config: {}["a bug"])
    with pytest.raises(errors.UsageError, match="KeyError: 'a bug'"):
        executor.execute(configs[0], text.ignore)


def test_only_runs_that_resume_repeat_notes(configs, monkeypatch):
    monkeypatch.setattr(executor, "load", lambda config: None)
    monkeypatch.setattr(executor, "notes_said", set())

    def run(config, dataset, notify, show_epoch):
        notify("said before")
        notify("new")

    monkeypatch.setattr(finetuning, "run", run)
    write_record(configs[2])
    lines = []
    for config in configs:
        executor.execute(config, lines.append, {"said before"})
    assert lines == ["new", "said before", "new"]


def test_a_sweep_refuses_finished_runs_on_other_images(tmp_path, tiny):
    folder = write_folder(tmp_path / "pets", images=1)
    (config,) = configurations(
        tmp_path, datasets=[f"folder:{folder}"], normalizations=["minmax"], seeds=[1]
    )
    config = dataclasses.replace(config, train_examples=None, test_examples=None)
    with pytest.raises(errors.UsageError, match="train_examples must be from 1 to 2"):
        executor.check_inputs([dataclasses.replace(config, train_examples=3)], print)
    finetuning.run(config)
    executor.check_inputs([config], text.ignore)
    write_image(folder / "train" / "cat" / "0.png", (99, 0, 0))
    config = dataclasses.replace(config, dataset=f"folder:{folder}/../pets")  # Unread.
    with pytest.raises(errors.UsageError, match="a finished run with another data set"):
        executor.check_inputs([config], text.ignore)


@pytest.fixture
def configs(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    settings = ["pretrain", "finetune", "minmax"]
    return configurations(tmp_path, normalizations=settings, seeds=[1])


PRETRAIN, FINETUNE, MINMAX = "pretrain", "finetune", "minmax"
FAILED = errors.TrainingFailed("train_loss", 3, 2, 0.1)


@pytest.mark.parametrize(
    ("script", "started", "tally"),
    [
        # A run whose worker died restarts before others.
        ({PRETRAIN: [DIED]}, [PRETRAIN, PRETRAIN, FINETUNE, MINMAX], {"done": 3}),
        (
            {FINETUNE: [DIED] * 9},
            [PRETRAIN, *[FINETUNE] * 4, MINMAX],
            {"done": 2, "failed": 1},
        ),
        # Failures of a run itself are not tried again.
        (
            {PRETRAIN: [errors.UsageError("no such file")], FINETUNE: [FAILED]},
            [PRETRAIN, FINETUNE, MINMAX],
            {"done": 1, "failed": 2},
        ),
        # A run that is locked from the start is left to others.
        (
            {FINETUNE: [LOCKED]},
            [PRETRAIN, FINETUNE, MINMAX],
            {"done": 2, "elsewhere": 1},
        ),
    ],
)
def test_runs_are_started_as_often_as_it_helps(script, started, tally, configs):
    fake = FakeExecutor(script)
    assert runner.run_all(configs, text.ignore, fake) == runner.Tally(**tally)
    assert [config.normalization for config in fake.started] == started


@pytest.mark.parametrize("has_started", [True, False])
def test_overwrite_does_not_discard_what_the_run_has_written(configs, has_started):
    write_record(configs[0])  # Of the finished run that is to be replaced.
    RESULT.write(configs[0].folder)

    def die(config):
        if has_started:
            write_record(config)
        return DIED

    config = dataclasses.replace(configs[0], overwrite=True)
    fake = FakeExecutor({PRETRAIN: [die]})
    runner.run_all([config], text.ignore, fake)
    assert [run.overwrite for run in fake.started] == [True, not has_started]


def test_a_lock_that_a_dead_worker_still_holds_is_waited_for(configs):
    fake = FakeExecutor({PRETRAIN: [DIED, LOCKED, LOCKED]})
    lines = []
    assert runner.run_all(configs, lines.append, fake) == runner.Tally(done=3)
    assert len(fake.started) == 6
    assert sum(line.startswith("run 1/3") for line in lines) == 2


def test_all_slots_are_used_and_lines_name_their_run(configs):
    fake = FakeExecutor(number=2)
    lines = []
    runner.run_all(configs, lines.append, fake)
    assert fake.most == 2
    assert [line.partition(" | ")[0] for line in lines[:3]] == [
        "run 1/3: digits cifar_resnet8 pretrain seed 1",
        "run 2/3: digits cifar_resnet8 finetune seed 1",
        "  digits cifar_resnet8 pretrain seed 1: "
        f"{RESULT.final_test_accuracy:.2%} test accuracy, "
        f"{text.duration(RESULT.total_seconds)}",
    ]
