"""Sweeps with runs that fail, are finished, are locked, or whose workers die."""

import dataclasses
import itertools
import json
import multiprocessing

import numpy as np
import PIL.Image
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors, text
from normtest_tf.runs import FailureRecord, ResultRecord, finetuning
from normtest_tf.sweeps import grid, runner
from normtest_tf.system import files
from tests.helpers.records import RESULT
from tests.sweeps.helpers import FakeExecutor, configurations, write_record

DIED = errors.WorkerDied("node b died")
LOCKED = errors.Locked("another process is writing to it")


@dataclasses.dataclass
class KillWorker:
    """A `notify` that kills the sweep's worker process when a run is announced."""

    headline: str

    def __call__(self, line):
        if line.startswith(self.headline):
            for process in multiprocessing.active_children():
                process.kill()
                process.join()


def test_a_failure_is_recorded_and_the_sweep_continues(tmp_path):
    configs = configurations(tmp_path)
    # No check catches this; the recipe fails to compare it with a number.
    broken = dataclasses.replace(configs[0], batch_size="many")
    broken.folder.path.mkdir(parents=True)
    broken.folder.failure.write_text('{"error": "of last time"}')
    killer = KillWorker("run 2/4")
    tally = runner.run_all([broken, *configs[1:]], killer, restarts=0)
    assert (tally.done, tally.failed, tally.skipped) == (2, 2, 0)
    first, second = (
        json.loads(config.folder.failure.read_text())["error"] for config in configs[:2]
    )
    assert first.startswith("TypeError: ")
    assert "the worker process died without an error" in second
    assert [grid.state(config) for config in configs[:2]] == ["failed"] * 2
    tally = runner.run_all(configs, text.ignore)
    assert (tally.done, tally.failed, tally.skipped) == (2, 0, 2)
    assert [grid.state(config) for config in configs] == ["done"] * 4


def test_a_sweep_refuses_finished_runs_on_other_images(tmp_path):
    folder = tmp_path / "pets"
    for split, name in itertools.product(("train", "test"), ("cat", "dog")):
        path = folder / split / name / "0.png"
        path.parent.mkdir(parents=True)
        PIL.Image.new("RGB", (32, 32), (9, 200, len(name + split))).save(path)
    (config,) = configurations(
        tmp_path, datasets=[f"folder:{folder}"], normalizations=["minmax"], seeds=[1]
    )
    config = dataclasses.replace(config, train_examples=None, test_examples=None)
    finished = finetuning.run(config)
    assert runner.run_all([config], text.ignore).skipped == 1
    PIL.Image.new("RGB", (32, 32), "red").save(folder / "train" / "cat" / "0.png")
    with pytest.raises(errors.UsageError, match="a finished run with another data set"):
        runner.run_all([config], text.ignore)
    assert ResultRecord.read(config.folder) == finished


def test_a_run_that_diverges_keeps_the_record_of_its_failure(tmp_path):
    tensors = load_file(backbones.resolve("cifar_resnet8").fetch())
    tensors["conv1.weight"] = np.full((32, 3, 3, 3), 3e38, "float32")
    path = tmp_path / "huge.safetensors"
    save_file(tensors, path)
    (config,) = configurations(tmp_path, normalizations=["pretrain"], seeds=[1])
    tally = runner.run_all([dataclasses.replace(config, weights=str(path))], print)
    assert tally.failed == 1
    failure = FailureRecord.read(config.folder)
    assert "is not finite at step " in failure.error
    assert json.loads(config.folder.failure.read_text())["epoch"] == 1


def test_a_run_of_another_process_is_skipped(tmp_path, capfd):
    configs = configurations(tmp_path)[:2]
    with files.only_writer(configs[0].folder.path):
        tally = runner.run_all(configs, print)
    assert (tally.done, tally.failed, tally.elsewhere) == (1, 0, 1)
    assert not configs[0].folder.failure.exists()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("run 1/2: digits cifar_resnet8 pretrain seed 1 | 0 done")
    assert lines[1] == "  another process is running it"
    assert lines[2].startswith("run 2/2: digits cifar_resnet8 finetune seed 1 | 0 done")
    assert "test accuracy, " in lines[-1]


@pytest.fixture
def configs(tmp_path):
    return configurations(
        tmp_path, normalizations=["pretrain", "finetune", "minmax"], seeds=[1]
    )


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)


def settings(executor):
    return [config.normalization for config in executor.started]


def test_a_run_whose_worker_died_restarts_before_others(configs):
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


def test_a_run_that_kills_each_of_its_workers_has_failed(configs):
    executor = FakeExecutor({"finetune": [DIED] * 9})
    tally = runner.run_all(configs, text.ignore, executor, restarts=2)
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


@pytest.mark.parametrize("has_started", [True, False])
def test_overwrite_does_not_discard_what_the_run_has_written(configs, has_started):
    write_record(configs[0])  # Of the run that is to be replaced.

    def die(config):
        if has_started:
            write_record(config)
        return DIED

    config = dataclasses.replace(configs[0], overwrite=True)
    executor = FakeExecutor({"pretrain": [die]})
    runner.run_all([config], text.ignore, executor)
    assert [run.overwrite for run in executor.started] == [True, not has_started]


def test_a_lock_that_a_dead_worker_still_holds_is_waited_for(configs, impatient):
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
