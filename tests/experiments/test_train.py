"""experiments.train, quickstart and pretrain: what they run, print and write."""

import dataclasses

from normtest_tf import backbones, datasets
from normtest_tf.runs import RunConfig
from tests.helpers import programs

SMALL = ["--dataset=digits", "--epochs=1", "--train_examples=64", "--test_examples=10"]


def test_help_and_lists_name_every_flag_model_and_data_set():
    flags = ("--help", "--list_models", "--list_datasets")
    commands = [*(["train", flag] for flag in flags), ["networks"]]
    shown, models, sets, tags = programs.run_all(commands)
    for field in dataclasses.fields(RunConfig):
        assert f"--{field.name}:" in shown.stdout or f"]{field.name}:" in shown.stdout
    assert {*backbones.ARCHITECTURES, "PATH.keras"} <= set(models.stdout.split())
    assert set(datasets.DATASETS) <= set(sets.stdout.split())
    rows = [tuple(line.split()[:2]) for line in tags.stdout.splitlines()[1:]]
    assert rows == [
        (entry.name, tag)
        for entry in backbones.ARCHITECTURES.values()
        for tag in entry.tags
    ]


def test_a_finished_run_is_neither_repeated_nor_replaced(tmp_path):
    flags = [*SMALL, "--model=cifar_resnet8", "--results_dir=mine"]
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


def test_a_head_that_diverges_ends_in_a_line(tmp_path):
    """No thread is left that would abort the process."""
    tiny = "1e-6,1e-6,1e-6"  # Makes inputs that float16 can't hold.
    flags = ["--normalization=given", "--mean=0.5,0.5,0.5", f"--std={tiny}"]
    flags += [*SMALL, "--model=cifar_resnet8", "--train=head", "--batch_size=32"]
    flags += ["--train_examples=300", "--epochs=3"]  # More than are computed at once.
    done = programs.run("train", *flags, "--precision=mixed_float16", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    # TensorFlow may log a line on float16 before.
    assert "train_loss is not finite at step 1" in done.stderr.splitlines()[-1]


def test_the_quickstart_prints_a_table_and_draws_a_figure(tmp_path):
    done = programs.run("quickstart", "--epochs=1", "--seeds=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finetune - pretrain" in done.stdout
    assert "What to run next" in done.stdout
    assert (tmp_path / "quickstart_results" / "quickstart.png").is_file()


def test_pretraining_writes_weights_that_a_network_loads(tmp_path):
    done = programs.run("pretrain", *SMALL, "--output=mine.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "channel mean" in done.stdout
    assert "epoch 1/1" in done.stdout
    model = backbones.CifarResNet8(weights=str(tmp_path / "mine.safetensors"))
    assert model.output_shape == (None, 10)
