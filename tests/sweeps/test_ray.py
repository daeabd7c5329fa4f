"""Sweeps on a Ray cluster of three nodes, one of which is killed in its run."""

import contextlib
import dataclasses
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import pytest

import normtest_tf
from normtest_tf import errors
from normtest_tf.runs import ResultRecord, finetuning
from normtest_tf.sweeps import ray_cluster
from normtest_tf.sweeps.executor import Options
from normtest_tf.system import files
from tests.helpers import ROOT, programs, tiny_runs
from tests.sweeps import helpers

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed"
)
EPOCHS = 50


@contextlib.contextmanager
def cluster():
    """Yields a process that is a cluster, and the address of its head node."""
    command = [sys.executable, "-m", "tests.sweeps.ray_nodes"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as nodes:
        try:
            yield nodes, nodes.stdout.readline().strip()
        finally:
            nodes.stdin.close()


@contextlib.contextmanager
def sweep(configs, address, output, *flags):
    """Starts a program that executes these runs; its output goes to a file."""
    first = configs[0]
    command = [
        *(sys.executable, "-m", "experiments.sweep", f"--models={first.model}"),
        *("--datasets=digits", f"--results_dir={first.results_dir}"),
        *(f"--seeds={first.seed}", "--normalizations=pretrain,finetune,minmax"),
        *("--pretrain_mean=0.5,0.5,0.5", "--pretrain_std=0.5,0.5,0.5"),
        *(f"--epochs={first.epochs}", f"--train_examples={first.train_examples}"),
        *(f"--test_examples={first.test_examples}", f"--batch_size={first.batch_size}"),
        *("--executor=ray", f"--ray_address={address}", *flags),
    ]
    with (
        output.open("w") as file,
        subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=programs.environment({"PYTHONUNBUFFERED": "1"}),
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition, process):
    """Waits until a condition holds while a process runs; returns its value."""
    while not (value := condition()):
        assert process.poll() is None
        time.sleep(0.02)
    return value


def checkpoints(configs):
    """Returns how many checkpoints each run has."""
    return [len(list(one.folder.checkpoints.glob("*.ckpt"))) for one in configs]


@needs_ray
def test_the_run_of_a_killed_node_resumes_elsewhere_to_the_same_bits(tmp_path):
    output = tmp_path / "output"
    where = {"results_dir": str(tmp_path / "ray"), "epochs": EPOCHS}
    configs = helpers.tiny_runs(tmp_path, **where)
    with (
        cluster() as (nodes, address),
        sweep(configs, address, output) as process,
    ):
        wait_until(lambda: all(checkpoints(configs)), process)
        print("node-1", file=nodes.stdin, flush=True)
        assert process.wait(240) == 0, output.read_text()
    printed = output.read_text()
    assert "3 runs done, 0 finished before, 0 failed" in printed
    assert printed.count("its worker or the worker's node died; the run will") == 1
    assert printed.count(f"note: on node {platform.node()}") == 3
    resumed = [ResultRecord.read(config.folder).resumed_epochs for config in configs]
    assert sorted(map(len, resumed)) == [0, 0, 1]
    for config, alone in zip(
        configs, helpers.tiny_runs(tmp_path, epochs=EPOCHS), strict=True
    ):
        finetuning.run(alone)
        assert tiny_runs.outcome(config) == tiny_runs.outcome(alone)
        assert not config.folder.failure.exists()


@needs_ray
@pytest.mark.campaign
def test_signals_end_the_runs_of_all_nodes(tmp_path):
    output = tmp_path / "output"
    where = {"results_dir": str(tmp_path / "ray"), "epochs": 100_000}
    configs = helpers.tiny_runs(tmp_path, **where)
    with cluster() as (_, address):
        for number in (signal.SIGTERM, signal.SIGINT):
            with sweep(configs, address, output) as process:
                wait_until(lambda: all(checkpoints(configs)), process)
                process.send_signal(number)
                assert process.wait(60) == 128 + number
            *_, last = output.read_text().splitlines()
            assert last.startswith(f"stopped by {number.name}; completed work is kept")
            for config in configs:
                with files.only_writer(config.folder.path, wait=True):
                    shutil.rmtree(config.folder.checkpoints)


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "can't connect to a Ray cluster at 127.0.0.1:1: .*refused"),
        ("nowhere.invalid:6379", "at nowhere.invalid:6379: .*; check --ray_address"),
        ("ray://127.0.0.1:10001", "check --ray_address"),
        ("nonsense", "check --ray_address"),
    ],
)
def test_wrong_addresses_are_refused_in_a_line(address, words):
    with pytest.raises(errors.UsageError, match=words):
        ray_cluster.RayExecutor(Options(address=address))


def test_ray_has_to_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.UsageError, match="pip install 'normtest_tf\\[ray\\]'"):
        ray_cluster.RayExecutor(Options())


class FakeRay:
    """Living nodes with these resources, and a dead one."""

    def __init__(self, *resources):
        self.resources = resources

    def nodes(self):
        nodes = [{"Alive": True, "Resources": one} for one in self.resources]
        return [*nodes, {"Alive": False, "Resources": {"CPU": 999.0, "GPU": 99.0}}]

    def remote(self, **options):
        return lambda function: function

    def shutdown(self):
        pass


def executor(monkeypatch, *nodes, **options):
    monkeypatch.setattr(ray_cluster, "connect", lambda _: FakeRay(*nodes))
    return ray_cluster.RayExecutor(Options(**options))


CPUS = {"CPU": 16.0}
GPUS = {"CPU": 64.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([CPUS, CPUS], {}, 32),
        ([CPUS, CPUS], {"cpus_per_run": 6}, 4),
        ([CPUS, CPUS], {"runs_at_a_time": 3}, 3),
        ([CPUS, GPUS], {}, 8),
        ([CPUS, GPUS], {"gpus_per_run": 0}, 80),
        ([GPUS, GPUS], {"gpus_per_run": 0.25, "cpus_per_run": 2}, 64),
        ([GPUS], {"gpus_per_run": 3}, 2),
    ],
)
def test_nodes_have_as_many_slots_as_fit(nodes, options, expected, monkeypatch):
    assert executor(monkeypatch, *nodes, **options).slots() == expected


@pytest.mark.parametrize(
    "options", [{"gpus_per_run": 9}, {"cpus_per_run": 65, "gpus_per_run": 1}]
)
def test_what_no_node_has_is_refused(options, monkeypatch):
    words = "no node of the Ray cluster has what a run needs.* 64 and 8"
    with pytest.raises(errors.UsageError, match=words):
        executor(monkeypatch, CPUS, GPUS, **options)
    with pytest.raises(errors.UsageError, match="that one has is 0 and 0"):
        executor(monkeypatch)


def test_a_node_that_differs_fails_its_runs_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    config, *_ = helpers.configurations(tmp_path / "results")
    here = ray_cluster.Here("0.0.1", str(tmp_path / "missing"), "missing", {})
    for other, words in {
        here: ", and the sweep 0.0.1; install the same version",
        dataclasses.replace(here, version=normtest_tf.__version__): "have to share it",
    }.items():
        _, outcome = ray_cluster.execute(other, config)
        assert words in str(outcome)


def test_variables_of_libraries_are_passed_on(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("SECRET", "1")
    passed = ray_cluster.variables()
    assert passed.items() >= {
        ("KERAS_BACKEND", "jax"),
        ("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
    }
    assert "SECRET" not in passed
