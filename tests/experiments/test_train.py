"""experiments.train: flags, one run, and its output."""

import dataclasses

import pytest

from normtest_tf import backbones, datasets
from normtest_tf.runs import RunConfig
from tests.helpers import programs


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--dataset=cifar11", "Did you mean 'cifar10'"),
        ("--dataset=folder:", "has no path"),
        ("--dataset=folder:missing", "does not exist"),
        ("--model=resnet19", "Did you mean 'resnet18'"),
        ("--model=resnet19", "or name a file: PATH.keras"),
        ("--model=missing.keras", "--model=missing.keras is no file"),
        ("--model=hub:resnet_18_imagenet", "KerasHub installs only with"),
        ("--normalization=fintune", "Did you mean 'finetune'? Allowed: finetune"),
        ("--weights=tv_in2k", "tv_in1k"),
        ("--weights=missing.safetensors", "neither a file nor a tag"),
        ("--precision=float8", "mixed_bfloat16"),
        ("--learning_rate=0", "must be positive"),
        ("--learning_rate=nan", "must be positive"),
        (
            "--batch_size=-3",
            "a whole number, at least 1 and at most 1000000. Received: '-3'",
        ),
        ("--epochs=many", "many"),
        ("--seed=-1", "seed"),
        ("--checkpoint_every=0", "checkpoint_every"),
        ("--epoch=3", "epoch"),
        ("50", "unexpected argument '50'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flag, words, tmp_path):
    done = programs.run("train", flag, "--results_dir=results", cwd=tmp_path)
    programs.assert_refused(done, words)
    assert list(tmp_path.iterdir()) == []


def test_every_field_of_a_configuration_is_a_flag():
    shown = programs.run("train", "--help").stdout
    for field in dataclasses.fields(RunConfig):
        assert f"--{field.name}:" in shown or f"--[no]{field.name}:" in shown


def test_the_lists_name_every_model_and_data_set():
    models = programs.run("train", "--list_models")
    assert models.returncode == 0
    assert {*backbones.ARCHITECTURES, "PATH.keras"} <= set(models.stdout.split())
    sets = programs.run("train", "--list_datasets")
    assert sets.returncode == 0
    known = {*datasets.DATASETS, *datasets.PUBLISHED}
    assert known <= set(sets.stdout.split())


def test_a_finished_run_is_neither_repeated_nor_replaced(tmp_path):
    flags = [
        "--dataset=digits",
        "--model=cifar_resnet8",
        "--epochs=1",
        "--train_examples=64",
        "--test_examples=10",
        "--results_dir=mine",
    ]
    first = programs.run("train", *flags, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "epoch 1/1" in first.stdout
    assert "test accuracy" in first.stdout
    folder = tmp_path / "mine" / "digits" / "cifar_resnet8-finetune" / "seed-223"
    assert (folder / "model.keras").is_file()

    again = programs.run("train", *flags, cwd=tmp_path)
    assert again.returncode == 0
    assert "already finished" in again.stdout
    assert "epoch 1/1" not in again.stdout

    other = programs.run("train", *flags, "--batch_size=8", cwd=tmp_path)
    programs.assert_refused(other, "batch_size=256 there, batch_size=8 now")


def test_a_dry_run_writes_nothing(tmp_path):
    flags = ["--dataset=digits", "--model=cifar_resnet8", "--dry_run"]
    done = programs.run("train", *flags, cwd=tmp_path)
    assert done.returncode == 0
    assert '"normalization": "finetune"' in done.stdout
    assert "would be written to results/digits/cifar_resnet8-finetune" in done.stdout
    assert list(tmp_path.iterdir()) == []
