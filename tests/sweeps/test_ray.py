"""Sweeps on a Ray cluster of three nodes, one of which is killed in its run."""

import contextlib
import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from normtest_tf import errors
from normtest_tf.runs import ResultRecord, finetuning
from normtest_tf.sweeps import ray_connection, runner
from normtest_tf.sweeps.executor import Options
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


def setting_on(node, output):
    """Returns the setting of the run that is on a node, None if none is yet."""
    found = re.search(
        rf"(\w+) seed 223: note: on node {node}$", output.read_text(), re.M
    )
    return found and found[1]


@needs_ray
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="shared", marks=pytest.mark.campaign),
        pytest.param(["--gather"], id="gathered"),
    ],
)
def test_the_run_of_a_killed_node_resumes_elsewhere_to_the_same_bits(flags, tmp_path):
    output = tmp_path / "output"
    where = {"results_dir": str(tmp_path / "ray"), "epochs": EPOCHS}
    configs = {run.normalization: run for run in helpers.tiny_runs(tmp_path, **where)}
    with (
        cluster() as (nodes, address),
        sweep([*configs.values()], address, output, *flags) as process,
    ):
        setting = wait_until(lambda: setting_on("node-1", output), process)
        wait_until(lambda: any(checkpoints([configs[setting]])), process)
        print("node-1", file=nodes.stdin, flush=True)
        assert process.wait(240) == 0, output.read_text()
    said = output.read_text()
    assert "3 runs done, 0 finished before, 0 failed" in said
    assert f"{setting} seed 223: node node-1 or its worker died; the run will" in said
    for name, config in configs.items():
        resumed = ResultRecord.read(config.folder).resumed_epochs
        assert len(resumed) == (name == setting)
        assert all(0 < epoch < EPOCHS for epoch in resumed)
        assert not config.folder.failure.exists()
    sequential = {
        run.normalization: run for run in helpers.tiny_runs(tmp_path, epochs=EPOCHS)
    }
    finetuning.run(sequential[setting])
    assert tiny_runs.outcome(configs[setting]) == tiny_runs.outcome(sequential[setting])


def checkpoints(configs):
    """Returns the last checkpoint of each run, by name; none before the first."""
    folders = [config.folder.checkpoints for config in configs]
    return [
        max([path.name for path in one.glob("*.ckpt")], default="") for one in folders
    ]


def have_advanced(configs, before):
    """Tells whether each run has written another checkpoint since."""
    now = checkpoints(configs)
    return all(later > earlier for earlier, later in zip(before, now, strict=True))


@needs_ray
@pytest.mark.campaign
def test_signals_stop_all_nodes_at_a_checkpoint(tmp_path):
    output = tmp_path / "output"
    where = {"results_dir": str(tmp_path / "ray"), "epochs": 400}
    configs = helpers.tiny_runs(tmp_path, **where)
    with cluster() as (_, address):
        for number, flags in ((signal.SIGTERM, ["--gather"]), (signal.SIGINT, [])):
            before = checkpoints(configs)
            with sweep(configs, address, output, *flags) as process:
                wait_until(lambda was=before: have_advanced(configs, was), process)
                process.send_signal(number)
                assert process.wait(60) == 128 + number
            *_, last = output.read_text().splitlines()
            assert last.startswith(f"error: stopped by {number.name}; everything ")
            assert last.endswith("is kept; the same command resumes 3 runs")
            assert have_advanced(configs, before)
    assert output.read_text().count("note: resuming after epoch") == 3


@needs_ray
def test_wrong_addresses_are_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(ray_connection, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for address, words in {
            f"127.0.0.1:{port}": "timed out; check --ray_address",
            "ray://127.0.0.1:10001": "--ray_address takes HOST:PORT",
            "nowhere.invalid:6379": "can't connect to a Ray cluster at nowhere",
        }.items():
            with pytest.raises(errors.UsageError, match=words):
                runner.create("ray", Options(address=address))


def test_ray_has_to_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.UsageError, match="pip install 'normtest_tf\\[ray\\]'"):
        runner.create("ray", Options())


class FakeRay:
    """Nodes with these resources."""

    def __init__(self, *resources, alive=True):
        self.resources, self.alive = resources, alive

    def nodes(self):
        return [{"Alive": self.alive, "Resources": one} for one in self.resources]


CPUS = {"CPU": 16.0}
GPUS = {"CPU": 64.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([CPUS, CPUS], {}, 32),
        ([CPUS, CPUS], {"cpus_per_run": 6}, 4),
        ([CPUS, GPUS], {}, 8),
        ([CPUS, GPUS], {"gpus_per_run": 0}, 80),
        ([GPUS, GPUS], {"gpus_per_run": 0.25, "cpus_per_run": 2}, 64),
        ([GPUS], {"gpus_per_run": 3}, 2),
    ],
)
def test_nodes_have_as_many_slots_as_fit(nodes, options, expected):
    ray = FakeRay(*nodes)
    needs = ray_connection.needs(ray, Options(**options))
    dead = FakeRay(*nodes, alive=False).nodes()
    assert needs.capacity([*ray.nodes(), *dead]) == expected


@pytest.mark.parametrize(
    "options", [{"gpus_per_run": 9}, {"cpus_per_run": 65, "gpus_per_run": 1}]
)
def test_what_no_node_has_is_refused(options):
    words = "no node of the Ray cluster has what a run needs.* 64 and 8"
    with pytest.raises(errors.UsageError, match=words):
        ray_connection.needs(FakeRay(CPUS, GPUS), Options(**options))
    with pytest.raises(errors.UsageError, match="that one has is 0 and 0"):
        ray_connection.needs(FakeRay(CPUS, alive=False), Options())
