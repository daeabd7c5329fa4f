"""Runs on the GPUs of one machine, which are fake here."""

import math
import re

import pytest

from normtest_tf import errors
from normtest_tf.runs import finetuning
from normtest_tf.sweeps import executor, runner
from normtest_tf.sweeps.executor import Options
from tests.helpers import tiny_runs
from tests.sweeps import helpers
from tests.sweeps.executor_helpers import execute_and_tell, fake_nvidia_smi, show

TWO = "GPU 0: A (UUID: GPU-1)\nGPU 1: A (UUID: GPU-2)\n"


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO)


def number_of_slots(name="local", **options):
    with runner.create(name, Options(**options)) as chosen:
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
        ({"gather": True}, "--gather needs --executor=ray"),
    ],
)
def test_what_one_machine_can_not_do_is_refused(options, words, two_gpus):
    with pytest.raises(errors.UsageError, match=words):
        number_of_slots(**options)


def test_two_gpus_give_the_results_of_one_run_after_another(
    two_gpus, monkeypatch, tmp_path, capfd
):
    monkeypatch.setattr(executor, "execute", execute_and_tell)
    configs = helpers.tiny_runs(tmp_path, results_dir=str(tmp_path / "two"))
    with runner.create("local", Options()) as slots:
        tally = runner.run_all(configs, show, slots)
    assert (tally.done, tally.failed) == (3, 0)
    seen = re.findall(r"seed 223: note: (\d+) sees (.*)", capfd.readouterr().out)
    assert len(seen) == 3
    assert sorted(device for _, device in set(seen)) == ["0", "1"]
    for config, one_by_one in zip(configs, helpers.tiny_runs(tmp_path), strict=True):
        finetuning.run(one_by_one)
        assert tiny_runs.outcome(config) == tiny_runs.outcome(one_by_one)
