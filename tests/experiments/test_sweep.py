"""experiments.sweep: flags, presets, and sweeps that are stopped or killed."""

import json
import signal
import time
import zipfile

from normtest_tf.system import files
from tests.helpers import ROOT, programs
from tests.helpers.fake_results import write_run

FLAGS = (
    "--datasets=digits",
    "--models=cifar_resnet8",
    "--seeds=1",
    "--epochs=1",
    "--train_examples=200",
    "--test_examples=200",
    "--batch_size=64",
)


def wait_for(pattern, folder, process, *, more_than=0):
    """Waits until a running process has written more than `more_than` such files."""
    while len(list(folder.glob(pattern))) <= more_than:
        assert process.poll() is None
        time.sleep(0.05)


def test_sigterm_stops_a_sweep_and_its_worker(tmp_path):
    flags = ["--results_dir=stopped", "--epochs=100000", "--checkpoint_every=1"]
    with programs.start("sweep", *FLAGS, *flags, cwd=tmp_path) as process:
        wait_for("stopped/*/*/*/checkpoints/*.ckpt", tmp_path, process)
        process.terminate()
        _, complaints = process.communicate()
    assert process.returncode == 143
    assert complaints == (
        "stopped by SIGTERM; the same command resumes what is recorded\n"
    )
    (lock,) = tmp_path.glob("stopped/*/*/*/.lock")
    with files.only_writer(lock.parent):  # The worker process has also exited.
        assert list((lock.parent / "checkpoints").iterdir())


def test_a_killed_sweep_resumes_and_is_reported(tmp_path):
    """The campaign shows that it ends as an uninterrupted one."""
    flags = [*FLAGS, "--results_dir=killed"]
    with programs.start("sweep", *flags, cwd=tmp_path) as process:
        # In its second run.
        wait_for("killed/*/*/*/config.json", tmp_path, process, more_than=1)
        process.send_signal(signal.SIGKILL)
    rest = programs.run("sweep", *flags, cwd=tmp_path)
    assert "1 run done, 1 finished before, 0 failed" in rest.stdout
    flags = ["--results_dir=killed", "--out_dir=report"]
    assert programs.run("report", *flags, cwd=tmp_path).returncode == 0
    assert len((tmp_path / "report" / "effects.csv").read_text().splitlines()) > 1


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    write_run(tmp_path / "results", "digits", "cifar_resnet8", seed=9)  # In a minute.
    before = set(tmp_path.rglob("*"))
    done = programs.run("sweep", *FLAGS, "--dry_run", cwd=tmp_path)
    assert done.returncode == 0
    assert "2 of 2 runs to do, about 2 min" in done.stdout
    assert set(tmp_path.rglob("*")) == before


SHOW_RUNS = """
import sys
from absl import flags
from experiments import sweep
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["sweep", f"--flagfile={path}"])
    first, *rest = sweep.configurations()
    print(1 + len(rest), first.name, first.resolved.network.label)
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
"""


def test_presets_are_grids_of_known_names(tmp_path):
    expected = {
        "cpu_study": 80,
        "dose_response": 140,
        "imagenet_study": 80,
        "real_sets": 10,
        "reference_extended": 64,
        "reference_table1": 16,
        "table1_protocol": 4,
    }
    presets = sorted((ROOT / "experiments" / "presets").glob("*.flags"))
    assert [path.stem for path in presets] == list(expected)
    done = programs.run_code(SHOW_RUNS, *presets, cwd=tmp_path)
    counts = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert counts == list(expected.values())


def test_a_file_is_one_of_the_models_of_a_sweep(tmp_path):
    """Its path has a comma and an equals sign, at which the flags are split."""
    path = tmp_path / "a=b,c" / "net.keras"
    path.parent.mkdir()
    config = {"batch_shape": [1, 32, 32, 3], "name": "image"}
    layers = [{"class_name": "InputLayer", "config": config}]
    model = {"class_name": "Functional", "config": {"layers": layers, "name": "net"}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    flags = [
        *("--datasets=digits", '--models="a=b,c/net.keras"', "--seeds=1"),
        *("--pretrain_mean=0.5,0.5,0.5", "--pretrain_std=0.5,0.5,0.5"),
        *("--normalizations=minmax", '--weights="a=b,c/net.keras=none"'),
    ]
    (tmp_path / "own.flags").write_text("\n".join(flags))
    done = programs.run_code(SHOW_RUNS, "own.flags", cwd=tmp_path)
    assert done.stdout == "1 digits/file-net-minmax/seed-1 none\n"
