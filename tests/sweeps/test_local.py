"""Workers of one machine, whose GPUs are fake here, and which die."""

import dataclasses
import math
import multiprocessing
import os
import re
import threading
import time

import pytest

from experiments.support import program
from normtest_tf import errors, text
from normtest_tf.runs import ResultRecord, finetuning
from normtest_tf.sweeps import executor, local, runner
from normtest_tf.sweeps.executor import Options
from tests.helpers import tiny_runs
from tests.sweeps import helpers

TWO = "GPU 0: A (UUID: GPU-1)\nGPU 1: A (UUID: GPU-2)\n"
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-a)
  MIG 3g.20gb     Device  1: (UUID: MIG-b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2)
"""


def test_values_and_errors_come_back_and_a_dead_worker_is_replaced():
    with local.Worker({"A": "1"}) as worker, local.Worker() as slow:
        first = worker.call(os.getpid)
        assert worker.call(os.getpid) == first != os.getpid()
        assert worker.call(os.getenv, "A") == "1"
        for error in (
            errors.Locked("busy"),
            errors.TrainingFailed("train_loss", 3, 2, 0.1),
            KeyError("a bug"),
        ):
            with pytest.raises(type(error)) as caught:
                worker.call(helpers.fail, error)
            assert str(caught.value) == str(error)
        assert "in fail" in caught.value.__notes__[0]
        with pytest.raises(errors.WorkerDied, match="probably killed for lack of"):
            worker.call(os._exit, 0)
        slow.send(time.sleep, 600)
        assert local.wait([slow], 0) == []
        worker.send(os.getpid)
        assert local.wait([slow, worker], 60) == [worker]
        assert worker.result() != first


def test_the_third_run_of_a_worker_ends_as_it_does_alone(tmp_path):
    pretrain, finetune = (
        dataclasses.replace(config, train="head", recalibrate=True)
        for config in helpers.tiny_runs(tmp_path, epochs=2)
    )
    instance = dataclasses.replace(pretrain, normalization="instance")
    schedule = {"learning_rate": 3e-3, "epochs": 3, "warmup_epochs": 1}
    finetune = dataclasses.replace(finetune, seed=7, **schedule)
    alone = dataclasses.replace(finetune, results_dir=str(tmp_path / "alone"))
    with local.Worker() as worker, local.Worker() as fresh:
        fresh.send(executor.execute, alone, text.ignore)
        for config in (pretrain, instance, finetune):
            worker.call(executor.execute, config, text.ignore)
        graphs, notes = worker.call(executor.leaked_graphs)
        assert (graphs, len(notes)) == (4, 2)  # Not a note for each run.
        fresh.result()
    assert tiny_runs.outcome(finetune) == tiny_runs.outcome(alone)


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")


def number_of_slots(**options):
    with local.create(Options(**options)) as chosen:
        return chosen.slots()


def test_there_is_a_slot_for_each_gpu_and_one_without(monkeypatch):
    assert number_of_slots() == 2
    assert number_of_slots(gpus_per_run=2) == 1
    assert number_of_slots(gpus_per_run=0.5) == 4
    assert number_of_slots(gpus_per_run=0) == 1
    assert number_of_slots(runs_at_a_time=3) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert number_of_slots() == 1
    assert number_of_slots(runs_at_a_time=3) == 3


@pytest.mark.parametrize(("each", "slots"), [(None, 1), (1, 2)])
def test_gpus_that_a_backend_can_not_see_have_one_worker(each, slots, monkeypatch):
    for name in ("check_inputs", "has_hidden_gpu"):
        monkeypatch.setattr(executor, name, helpers.yes)
    with local.create(Options(gpus_per_run=each)) as workers:
        workers.check_inputs([], text.ignore)
        assert workers.slots() == slots


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus_per_run": 3}, "--gpus_per_run=3 is more than this machine has: 2 GPUs"),
        ({"gpus_per_run": 1.5}, "takes a whole number, or a fraction from 0.001"),
        ({"gpus_per_run": 1e-9}, "takes a whole number, .* Received: 1e-09"),
        ({"gpus_per_run": math.inf}, "takes a whole number, .* Received: inf"),
        ({"cpus_per_run": 1}, "--cpus_per_run needs --executor=ray"),
        ({"address": "auto"}, "--ray_address needs --executor=ray"),
    ],
)
def test_what_one_machine_can_not_do_is_refused(options, words):
    with pytest.raises(errors.UsageError, match=words):
        number_of_slots(**options)


def test_workers_learn_what_others_have_said(monkeypatch, tmp_path):
    config, *_ = helpers.configurations(tmp_path)
    monkeypatch.setattr(executor, "execute", helpers.return_said)
    monkeypatch.setattr(executor, "leaked_graphs", helpers.wear_out)
    with local.LocalExecutor() as slots:
        for expected in (set(), {"a note"}):
            slots.start(config, text.ignore)
            assert slots.wait(60) == [(config, expected)]


def test_a_failed_run_ends_its_process_and_a_locked_one_does_not(monkeypatch, tmp_path):
    failing, _, locked, _ = helpers.configurations(tmp_path)
    monkeypatch.setattr(executor, "execute", helpers.fail_here)
    processes = []
    with local.LocalExecutor() as slots:
        for config in (failing, locked, locked):
            slots.start(config, text.ignore)
            [(_, outcome)] = slots.wait(60)
            processes.append(str(outcome))
    first, second, third = processes
    assert first != second == third


def kill_one_worker(config):
    """Kills (SIGKILL) the process that executes a run once it has a checkpoint."""
    while not list(config.folder.checkpoints.glob("*.ckpt")):
        time.sleep(0.02)
    first, *_ = sorted(multiprocessing.active_children(), key=lambda child: child.pid)
    first.kill()


def test_two_gpus_and_a_killed_worker_give_the_results_of_one_run_after_another(
    monkeypatch, tmp_path, capfd
):
    monkeypatch.setattr(executor, "execute", helpers.execute_and_report)
    configs = helpers.tiny_runs(tmp_path, epochs=20, results="two")
    threading.Thread(target=kill_one_worker, args=configs[:1], daemon=True).start()
    with local.create(Options()) as slots:
        tally = runner.run_all(configs, program.show, slots)
    assert (tally.done, tally.failed) == (2, 0)
    printed = capfd.readouterr().out
    seen = re.findall(r"seed 223: note: (\d+) sees (.*)", printed)
    assert sorted(device for _, device in set(seen)) == ["0", "0", "1"]
    assert printed.count("; the run will be resumed") == 1
    for config, alone, resumed in zip(
        configs, helpers.tiny_runs(tmp_path, epochs=20), (True, False), strict=True
    ):
        finetuning.run(alone)
        assert tiny_runs.outcome(config) == tiny_runs.outcome(alone)
        assert bool(ResultRecord.read(config.folder).resumed_epochs) == resumed


@pytest.mark.parametrize(
    ("printed", "status", "expected"),
    [
        (TWO, 0, ["0", "1"]),
        (DIVIDED, 0, ["MIG-a", "MIG-b", "1"]),
        ("No devices.", 0, []),
        (TWO, 9, []),
    ],
)
def test_nvidia_smi_lists_gpus(printed, status, expected, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{printed}'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert local.visible_gpus() == expected
    monkeypatch.setenv("PATH", "")
    assert local.visible_gpus() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("-1", []),
        ("3, 1", ["3", "1"]),
        ("0,-1,1", ["0"]),
        ("GPU-1,MIG-a", ["GPU-1", "MIG-a"]),
    ],
)
def test_the_environment_has_the_last_word(value, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert local.visible_gpus() == expected
