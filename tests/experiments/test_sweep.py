"""experiments.sweep: flags, presets, and sweeps that are stopped or killed."""

import itertools
import json
import signal
import time
import zipfile

import PIL.Image
import pytest

from normtest_tf.system import files
from tests.helpers import ROOT, programs

FLAGS = (
    "--datasets=digits",
    "--models=cifar_resnet8",
    "--seeds=1,2",
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


def test_sigterm_stops_a_sweep_between_two_steps(tmp_path):
    flags = ["--results_dir=stopped", "--epochs=100000"]
    with programs.start("sweep", *FLAGS, *flags, cwd=tmp_path) as process:
        wait_for("stopped/*/*/*/history.csv", tmp_path, process)
        process.terminate()
        _, complaints = process.communicate()
    assert process.returncode == 143
    assert "stopped by SIGTERM; " in complaints
    assert "the same command resumes there" in complaints
    (lock,) = tmp_path.glob("stopped/*/*/*/.lock")
    with files.only_writer(lock.parent):  # The worker process has also exited.
        assert list((lock.parent / "checkpoints").iterdir())


def test_a_killed_sweep_resumes_to_the_same_tables(tmp_path):
    whole = programs.run("sweep", *FLAGS, "--results_dir=whole", cwd=tmp_path)
    assert "4 runs done, 0 finished before, 0 failed" in whole.stdout
    flags = [*FLAGS, "--results_dir=killed"]
    for wanted in (1, 3):  # Killed in its second and in its fourth run.
        with programs.start("sweep", *flags, cwd=tmp_path) as process:
            pattern = "killed/*/*/*/config.json"
            wait_for(pattern, tmp_path, process, more_than=wanted)
            process.send_signal(signal.SIGKILL)
    rest = programs.run("sweep", *flags, cwd=tmp_path)
    assert "1 run done, 3 finished before" in rest.stdout
    for name in ("whole", "killed"):
        flags = [f"--results_dir={name}", f"--out_dir=report-{name}"]
        assert programs.run("report", *flags, cwd=tmp_path).returncode == 0
    for name in ("table1.md", "table1.csv", "effects.csv"):
        expected = (tmp_path / "report-whole" / name).read_bytes()
        assert (tmp_path / "report-killed" / name).read_bytes() == expected


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--datasets=cifar11"], "Did you mean 'cifar10'"),
        (["--models=resnet19"], "Did you mean 'resnet18'"),
        (["--normalizations=fintune"], "Did you mean 'finetune'"),
        (["--seeds=1,one"], "--seeds takes whole numbers"),
        (["--seeds=1,1"], "distinct numbers"),
        (["--weights=resnet50=none"], "Received: 'resnet50=none'"),
        (["--weights=none,none"], "MODEL=WEIGHTS at most once"),
        (["--datasets=digits,folder:missing"], "does not exist"),
        (["--shift=cast:1,0.6,0.3"], "in a list, put it in double quotes"),
        (["--shift=contrast:0.5,contrast:0.50"], "without duplicates"),
        (["--train=all,heads"], "Did you mean 'head'"),
        (
            ["--train=head", "--recalibrate", "--warmup_epochs=2"],
            "--warmup_epochs must",
        ),
        (["--dry_run", "--gather"], "--gather needs --executor=ray"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flags, words, tmp_path):
    done = programs.run("sweep", *FLAGS, *flags, cwd=tmp_path)
    programs.assert_refused(done, words)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_comma_in_its_name_is_put_in_quotes(tmp_path):
    for split, name in itertools.product(("train", "test"), ("cat", "dog")):
        path = tmp_path / "a,b" / split / name / "0.png"
        path.parent.mkdir(parents=True)
        PIL.Image.new("RGB", (32, 32), (9, 200, len(name + split))).save(path)
    short = ["--models=cifar_resnet8", "--normalizations=minmax", "--seeds=1"]
    flags = [*short, "--epochs=1", "--results_dir=r"]
    split = programs.run("sweep", "--datasets=folder:a,b", *flags, cwd=tmp_path)
    programs.assert_refused(split, "--datasets='\"folder:a,b\"'")
    quoted = programs.run("sweep", '--datasets="folder:a,b"', *flags, cwd=tmp_path)
    assert "1 run done, 0 finished before, 0 failed" in quoted.stdout, quoted.stderr
    assert (tmp_path / "r/folder-a_b/cifar_resnet8-minmax/seed-1/model.keras").exists()


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    done = programs.run("sweep", *FLAGS, "--dry_run", cwd=tmp_path)
    assert done.returncode == 0
    assert "4 of 4 runs to do, about" in done.stdout
    assert list(tmp_path.iterdir()) == []


COUNT_RUNS = """
import sys
from absl import flags
from experiments import sweep
flags.FLAGS(sys.argv)
print(len(sweep.configurations()))
"""


@pytest.mark.parametrize(
    "preset", sorted((ROOT / "experiments" / "presets").glob("*.flags"))
)
def test_presets_are_grids_of_known_names(preset, tmp_path):
    done = programs.run_code(COUNT_RUNS, f"--flagfile={preset}", cwd=tmp_path)
    expected = {
        "cpu_study": 80,
        "dose_response": 126,
        "imagenet_study": 80,
        "reference_extended": 64,
        "reference_table1": 16,
        "table1_protocol": 4,
    }
    assert int(done.stdout) == expected[preset.stem]


SHOW_RUNS = """
import sys
from absl import flags
from experiments import sweep
flags.FLAGS(sys.argv)
for config in sweep.configurations():
    print(config.name, config.resolved.network.label)
"""


def test_a_file_is_one_of_the_models_of_a_sweep(tmp_path):
    """Commas and equals signs in its path are where the flags are split."""
    path = tmp_path / "a=b,c" / "net.keras"
    path.parent.mkdir()
    layer = {"class_name": "InputLayer", "config": {"batch_shape": [1, 32, 32, 3]}}
    model = {"class_name": "Functional", "config": {"layers": [layer]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    flags = [
        *("--datasets=digits", '--models="a=b,c/net.keras"', "--seeds=1"),
        *("--pretrain_mean=0.5,0.5,0.5", "--pretrain_std=0.5,0.5,0.5"),
        *("--normalizations=minmax", '--weights="a=b,c/net.keras=none"'),
    ]
    done = programs.run_code(SHOW_RUNS, *flags, cwd=tmp_path)
    assert done.stdout == "digits/file-net-minmax/seed-1 none\n"


def test_devices_that_share_a_batch_are_counted_where_runs_are_executed(tmp_path):
    flags = ["--strategy=data_parallel", "--executor=ray", "--results_dir=none"]
    done = programs.run("sweep", *FLAGS, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert "--executor=ray needs --gpus_per_run=N" in done.stderr
    assert not (tmp_path / "none").exists()
