"""The programs as a user runs them: exit status, one clear line, speed of --help."""

import os
import re
import subprocess
import sys
import time

import pytest

from normtest_tf import backbones, datasets
from tests.helpers import ROOT

PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "common.run(main" in path.read_text(encoding="utf-8")
)


def run(program, *flags, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{program}", *flags],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def test_all_programs_are_tested():
    programs = {"train", "quickstart", "pretrain", "export", "predict", "benchmark"}
    assert programs | {"networks", "parity", "sweep", "report"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help_is_quick_and_ends_with_status_0(program, flag):
    command = [sys.executable, "-X", "importtime", "-m", f"experiments.{program}", flag]
    started = time.perf_counter()
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert time.perf_counter() - started < 10  # About 0.3 s; this is no benchmark.
    assert result.returncode == 0
    assert result.stdout.strip()
    imported = re.findall(r"\| +(\w+)$", result.stderr, re.MULTILINE)
    assert not {"tensorflow", "keras", "tensorflow_datasets"} & set(imported)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--dataset=cifar11", "Did you mean 'cifar10'"),
        ("--dataset=folder:", "lacks its path"),
        ("--dataset=folder:missing", "does not exist"),
        ("--model=resnet19", "Did you mean 'resnet18'"),
        ("--normalization=fintune", "finetune|pretrain|instance|minmax"),
        ("--weights=tv_in2k", "tv_in1k"),
        ("--weights=missing.safetensors", "neither a file nor a tag"),
        ("--precision=float8", "mixed_bfloat16"),
        ("--learning_rate=0", "must be positive"),
        ("--learning_rate=nan", "must be positive"),
        ("--batch_size=-3", "positive"),
        ("--epochs=many", "many"),
        ("--seed=-1", "seed"),
        ("--checkpoint_every=0", "checkpoint_every"),
        ("--epoch=3", "epoch"),
        ("50", "unexpected argument '50'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flag, words, tmp_path):
    result = run("train", flag, "--results_dir=results", cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_lists():
    models = run("train", "--list_models")
    assert models.returncode == 0
    assert set(backbones.ARCHITECTURES) <= set(models.stdout.split())
    sets = run("train", "--list_datasets")
    assert sets.returncode == 0
    assert set(datasets.DATASETS) <= set(sets.stdout.split())


def test_train_writes_a_run_and_does_not_repeat_it(tmp_path):
    flags = [
        "--dataset=digits",
        "--model=cifar_resnet8",
        "--epochs=1",
        "--train_examples=64",
        "--test_examples=10",
        "--results_dir=mine",
    ]
    first = run("train", *flags, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    folder = tmp_path / "mine" / "digits" / "cifar_resnet8-finetune" / "seed-223"
    assert (folder / "model.keras").is_file()
    assert "epoch 1/1" in first.stdout
    again = run("train", *flags, cwd=tmp_path)
    assert again.returncode == 0
    assert "finished before" in again.stdout
    assert "epoch 1/1" not in again.stdout
    other = run("train", *flags, "--batch_size=8", cwd=tmp_path)
    assert other.returncode == 2
    assert "batch_size=256 there, batch_size=8 now" in other.stderr


def test_deterministic_operations_are_recorded_and_stay_for_the_process(tmp_path):
    code = """
import tensorflow as tf
from normtest_tf import errors, finetuning, runs
from tensorflow.python.framework import config as tf_config
values = dict(dataset="digits", model="cifar_resnet8", train_examples=40,
              test_examples=10, epochs=1)
finetuning.run(runs.RunConfig(deterministic=True, **values))
assert tf_config.is_op_determinism_enabled()
try:
    finetuning.run(runs.RunConfig(seed=1, **values))
except errors.UsageError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert "start another process for runs without it" in result.stdout
    (path,) = tmp_path.rglob("config.json")
    assert '"deterministic": true' in path.read_text()


def test_quickstart_gives_a_table_and_a_figure(tmp_path):
    result = run("quickstart", "--epochs=1", "--seeds=1,2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "finetune - pretrain" in result.stdout
    assert "What to run next" in result.stdout
    assert (tmp_path / "quickstart_results" / "quickstart.png").is_file()


@pytest.mark.parametrize("seeds", ["", "1,1", "one", "-1"])
def test_quickstart_with_bad_seeds(seeds):
    result = run("quickstart", f"--seeds={seeds}")
    assert result.returncode == 2
    assert "--seeds" in result.stderr


def test_pretrain_writes_weights_that_train_accepts(tmp_path):
    result = run(
        "pretrain",
        "--dataset=digits",
        "--epochs=1",
        "--train_examples=64",
        "--test_examples=10",
        "--output=mine.safetensors",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    model = backbones.CifarResNet8(weights=str(tmp_path / "mine.safetensors"))
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "output"),
        (["--output=x.h5"], "must end in .safetensors"),
        (["--output=x.safetensors", "--model=keras_resnet50"], "our own networks"),
        (["--output=/proc/x/y.safetensors", "--dataset=digits"], "can't write"),
        (["--output=folder.safetensors", "--overwrite"], "is a folder"),
    ],
)
def test_pretrain_with_bad_flags(flags, words, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    result = run("pretrain", *flags, cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert words in line


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    result = run(
        "train",
        "--dataset=digits",
        "--model=cifar_resnet8",
        "--epochs=1",
        "--train_examples=64",
        "--test_examples=10",
        "--results_dir=results",
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    return folder / "results" / "digits" / "cifar_resnet8-finetune" / "seed-223"


def test_export_writes_compares_and_does_not_replace(finished_run):
    flags = [f"--run_dir={finished_run}", "--check_on=test", "--check_images=40"]
    first = run("export", *flags, "--probabilities")
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "on 40 images; 0 of them" in first.stdout
    path = finished_run / "export" / "model-probabilities.keras"
    assert str(path) in first.stdout
    written = path.stat().st_mtime_ns
    again = run("export", *flags, "--probabilities")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--format=tflite"], "keras|saved_model|onnx|litert"),
        (["--probabilities", "--features"], "probabilities"),
        (["--output=model.h5"], "must end in .keras"),
        (["--format=saved_model", "--output=."], "is no saved_model export"),
        (["--output=/proc/x/y.keras"], "can't write"),
        (["--check_images=0"], "check_images"),
        (["--run_dir=missing"], "missing is not a folder"),
        (["--run_dir=."], "no finished run"),
    ],
)
def test_export_with_bad_flags(flags, words, finished_run, tmp_path):
    result = run("export", f"--run_dir={finished_run}", *flags, cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_export_of_a_damaged_model(tmp_path, finished_run):
    for name in ("config.json", "result.json"):
        (tmp_path / name).write_bytes((finished_run / name).read_bytes())
    for content, words in [(None, "is missing"), (b"half", "can't load")]:
        if content:
            (tmp_path / "model.keras").write_bytes(content)
        result = run("export", "--run_dir=.", cwd=tmp_path)
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert words in line
    assert not (tmp_path / "export").exists()


def test_output_that_nobody_reads_is_no_fault():
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.train", "--list_models"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
