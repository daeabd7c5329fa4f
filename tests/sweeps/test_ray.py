"""Sweeps on a Ray cluster on this machine, of which a node is killed in its run."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from unittest import mock

import pytest

import normtest_tf
from normtest_tf import errors, text
from normtest_tf.runs import ResultRecord, finetuning
from normtest_tf.sweeps import ray_cluster
from normtest_tf.sweeps.executor import Options
from normtest_tf.system import files
from tests.helpers import ROOT, programs, tiny_runs
from tests.sweeps import helpers

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed"
)
EPOCHS = 20


@contextlib.contextmanager
def cluster(*nodes):
    """Yields a process that is a cluster, and the address of its head node."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sweeps.ray_nodes", *nodes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextlib.contextmanager
def sweep(configs, address):
    """Starts a program that executes these runs."""
    first = configs[0]
    names = ("epochs", "train_examples", "test_examples", "batch_size", "results_dir")
    names += ("checkpoint_every",)
    with programs.start(
        "sweep",
        *("--datasets=digits", f"--models={first.model}", f"--seeds={first.seed}"),
        *("--pretrain_mean=0.5,0.5,0.5", "--pretrain_std=0.5,0.5,0.5"),
        *(f"--{name}={getattr(first, name)}" for name in names),
        *("--executor=ray", f"--ray_address={address}"),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_checkpoint(config, process):
    """Waits until a run has a checkpoint, while a process runs."""
    while not list(config.folder.checkpoints.glob("*.ckpt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@needs_ray
@pytest.mark.campaign
def test_the_run_of_a_killed_node_resumes_elsewhere_to_the_same_bits(tmp_path):
    configs = helpers.tiny_runs(tmp_path, EPOCHS, results="ray")
    with cluster("node-1") as (nodes, address), sweep(configs, address) as process:
        wait_for_checkpoint(configs[0], process)
        print("node-1", file=nodes.stdin, flush=True)
        printed, complaints = process.communicate(timeout=240)
    assert process.returncode == 0, complaints
    assert "2 runs done, 0 finished before, 0 failed" in printed
    assert printed.count("its worker or the worker's node died; the run will") == 1
    assert printed.count("note: on node ") == 2
    for config, alone, resumed in zip(
        configs, helpers.tiny_runs(tmp_path, EPOCHS), (True, False), strict=True
    ):
        finetuning.run(alone)
        assert tiny_runs.outcome(config) == tiny_runs.outcome(alone)
        assert bool(ResultRecord.read(config.folder).resumed_epochs) == resumed
        assert not config.folder.failure.exists()


@needs_ray
@pytest.mark.campaign
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_runs_of_all_nodes(number, tmp_path):
    configs = helpers.tiny_runs(tmp_path, 100_000, results="ray")
    with (
        cluster("node-1", "node-2") as (_, address),
        sweep(configs, address) as process,
    ):
        for config in configs:
            wait_for_checkpoint(config, process)
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert complaints.startswith(f"stopped by {number.name}; the same command")
        for config in configs:
            with files.only_writer(config.folder.path, wait=True):
                assert list(config.folder.checkpoints.iterdir())


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "can't connect to a Ray cluster at 127.0.0.1:1: .*refused"),
        ("nowhere.invalid:6379", "at nowhere.invalid:6379: .*; check --ray_address"),
    ],
)
def test_wrong_addresses_are_refused_in_a_line(address, words):
    with pytest.raises(errors.UsageError, match=words):
        ray_cluster.RayExecutor(Options(address=address))


def test_ray_has_to_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.UsageError, match="pip install 'normtest_tf\\[ray\\]'"):
        ray_cluster.RayExecutor(Options())


CPUS = {"CPU": 16.0}
GPUS = {"CPU": 64.0, "GPU": 8.0}
TOO_MUCH = "no node of the Ray cluster has what a run needs.* {}$"


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([CPUS, CPUS], {"cpus_per_run": 6}, 4),
        ([CPUS, CPUS], {"runs_at_a_time": 3}, 3),
        ([CPUS, GPUS], {}, 8),
        ([CPUS, GPUS], {"gpus_per_run": 0}, 80),
        ([GPUS, GPUS], {"gpus_per_run": 0.25, "cpus_per_run": 2}, 64),
        ([CPUS, GPUS], {"gpus_per_run": 9}, TOO_MUCH.format("64 and 8")),
        ([], {}, TOO_MUCH.format("0 and 0")),
    ],
)
def test_nodes_have_as_many_slots_as_fit(nodes, options, expected, monkeypatch):
    living = [{"Alive": True, "Resources": node} for node in nodes]
    dead = {"Alive": False, "Resources": {"CPU": 999.0, "GPU": 99.0}}
    ray = mock.Mock(nodes=lambda: [*living, dead])
    monkeypatch.setattr(ray_cluster, "connect", lambda _: ray)
    if isinstance(expected, str):
        with pytest.raises(errors.UsageError, match=expected):
            ray_cluster.RayExecutor(Options(**options))
    else:
        assert ray_cluster.RayExecutor(Options(**options)).slots() == expected


@pytest.mark.parametrize(("gpus", "seen"), [(0, "-1"), (1, None)])
def test_a_run_without_gpus_sees_none(gpus, seen, tmp_path, monkeypatch):
    ray = mock.Mock(nodes=lambda: [{"Alive": True, "Resources": GPUS}])
    monkeypatch.setattr(ray_cluster, "connect", lambda _: ray)
    config, *_ = helpers.configurations(tmp_path)
    with ray_cluster.RayExecutor(Options(gpus_per_run=gpus)) as cluster:
        cluster.start(config, text.ignore)
    (here, _), _ = ray.remote.return_value.return_value.remote.call_args
    assert here.variables.get("CUDA_VISIBLE_DEVICES") == seen


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.0.1", ", and the sweep 0.0.1; install the same version"),
        (normtest_tf.__version__, "have to share it"),
    ],
)
def test_a_node_that_differs_fails_its_runs_in_a_line(
    version, words, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    config, *_ = helpers.configurations(tmp_path / "results")
    here = ray_cluster.Here(version, str(tmp_path / "missing"), "missing", {})
    _, outcome = ray_cluster.execute(here, config)
    assert words in str(outcome)


def test_variables_of_libraries_are_passed_on(monkeypatch):
    expected = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    for name, value in {**expected, "SECRET": "1"}.items():
        monkeypatch.setenv(name, value)
    passed = ray_cluster.variables()
    assert passed.items() >= expected.items()
    assert "SECRET" not in passed
