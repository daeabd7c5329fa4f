"""Runs on the GPUs of one machine, which are fake here, in processes that die."""

import math
import multiprocessing
import re
import threading
import time

import pytest

from normtest_tf import errors
from normtest_tf.runs import ResultRecord, finetuning
from normtest_tf.sweeps import executor, local, runner
from normtest_tf.sweeps.executor import Options
from tests.helpers import tiny_runs
from tests.sweeps import helpers
from tests.sweeps.helpers import execute_and_report, fake_nvidia_smi, show

TWO = "GPU 0: A (UUID: GPU-1)\nGPU 1: A (UUID: GPU-2)\n"


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO)


def number_of_slots(**options):
    with local.create(Options(**options)) as chosen:
        return chosen.slots()


def test_there_is_a_slot_for_each_gpu_and_one_without(two_gpus, monkeypatch):
    assert number_of_slots() == 2
    assert number_of_slots(gpus_per_run=2) == 1
    assert number_of_slots(gpus_per_run=0.5) == 4
    assert number_of_slots(gpus_per_run=0) == 1
    assert number_of_slots(runs_at_a_time=3) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert number_of_slots() == 1
    assert number_of_slots(runs_at_a_time=3) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus_per_run": 3}, "--gpus_per_run=3 is more than this machine has: 2 GPUs"),
        ({"gpus_per_run": 1.5}, "takes a whole number, or a fraction from 0.001"),
        ({"gpus_per_run": 1e-9}, "takes a whole number, .* Received: 1e-09"),
        ({"gpus_per_run": math.inf}, "takes a whole number, .* Received: inf"),
        ({"gpus_per_run": math.nan}, "takes a whole number, .* Received: nan"),
        ({"cpus_per_run": math.nan}, "--cpus_per_run takes 0, or .* Received: nan"),
        ({"cpus_per_run": 1}, "--cpus_per_run needs --executor=ray"),
        ({"address": "auto"}, "--ray_address needs --executor=ray"),
    ],
)
def test_what_one_machine_can_not_do_is_refused(options, words, two_gpus):
    with pytest.raises(errors.UsageError, match=words):
        number_of_slots(**options)


def kill_one_worker(config):
    """Kills (SIGKILL) the process that executes a run once it has a checkpoint."""
    while not list(config.folder.checkpoints.glob("*.ckpt")):
        time.sleep(0.02)
    first, *_ = sorted(multiprocessing.active_children(), key=lambda child: child.pid)
    first.kill()


def test_two_gpus_and_a_killed_worker_give_the_results_of_one_run_after_another(
    two_gpus, monkeypatch, tmp_path, capfd
):
    monkeypatch.setattr(executor, "execute", execute_and_report)
    where = {"results_dir": str(tmp_path / "two"), "epochs": 40}
    configs = helpers.tiny_runs(tmp_path, **where)
    threading.Thread(target=kill_one_worker, args=configs[:1], daemon=True).start()
    with local.create(Options()) as slots:
        tally = runner.run_all(configs, show, slots)
    assert (tally.done, tally.failed) == (3, 0)
    printed = capfd.readouterr().out
    seen = re.findall(r"seed 223: note: (\d+) sees (.*)", printed)
    assert len(seen) == 4
    assert sorted(device for _, device in set(seen)) == ["0", "0", "1"]
    assert printed.count("; the run will be resumed") == 1
    assert [bool(ResultRecord.read(c.folder).resumed_epochs) for c in configs] == [
        *(True, False, False)
    ]
    for config, one_by_one in zip(
        configs, helpers.tiny_runs(tmp_path, epochs=40), strict=True
    ):
        finetuning.run(one_by_one)
        assert tiny_runs.outcome(config) == tiny_runs.outcome(one_by_one)


DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-a)
  MIG 3g.20gb     Device  1: (UUID: MIG-b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2)
"""


@pytest.mark.parametrize(
    ("printed", "expected"),
    [(TWO, ["0", "1"]), (DIVIDED, ["MIG-a", "MIG-b", "1"]), ("No devices.", [])],
)
def test_nvidia_smi_lists_gpus(printed, expected, tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, printed)
    assert local.visible_gpus() == expected


def test_without_a_working_nvidia_smi_there_are_none(tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO, status=9)
    assert local.visible_gpus() == []
    monkeypatch.setenv("PATH", "")
    assert local.visible_gpus() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("-1", []),
        ("2", ["2"]),
        ("3, 1", ["3", "1"]),
        ("0,-1,1", ["0"]),
        ("GPU-1,MIG-a", ["GPU-1", "MIG-a"]),
    ],
)
def test_the_environment_has_the_last_word(value, expected, tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert local.visible_gpus() == expected
