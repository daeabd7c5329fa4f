"""Paths that a list flag has split at a comma are noticed, others are let through."""

import shlex

import pytest
from absl import flags

from experiments.support import commas
from normtest_tf import errors


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a,b", "c, d", "cifar10,digits"):
        (tmp_path / name).mkdir()
    for name in (
        *("a/w.safetensors", "a,b/w.safetensors", "x,resnet34=y.h5"),
        *("a/n.keras", "a,b/n.keras"),
    ):
        (tmp_path / name).write_text("")
    return tmp_path


def parse(text):
    """Splits text as `flags.DEFINE_list` does."""
    return flags.ListParser().parse(text)


@pytest.mark.parametrize(
    ("flag", "text", "quoted"),
    [
        ("datasets", "folder:{0}/a,b", '"folder:{0}/a,b"'),
        ("datasets", "digits,folder:a,b", 'digits,"folder:a,b"'),
        ("datasets", "folder:a,b,digits", '"folder:a,b",digits'),
        ("datasets", "folder:c, d,digits", '"folder:c, d",digits'),
        (
            "datasets",
            "folder:cifar10,digits",
            '"folder:cifar10,digits"',
        ),
        (
            "datasets",
            '"folder:a,b",folder:c, d,digits',
            '"folder:a,b","folder:c, d",digits',
        ),
        ("weights", "{0}/a,b/w.safetensors", '"{0}/a,b/w.safetensors"'),
        (
            "weights",
            "resnet18=a,b/w.safetensors,resnet34=none",
            '"resnet18=a,b/w.safetensors",resnet34=none',
        ),
        ("weights", "x,resnet34=y.h5", '"x,resnet34=y.h5"'),
        ("models", "{0}/a,b/n.keras", '"{0}/a,b/n.keras"'),
        ("models", "resnet18,a,b/n.keras", 'resnet18,"a,b/n.keras"'),
    ],
)
def test_a_path_that_was_split_is_shown_in_quotes(flag, text, quoted, folder):
    text, quoted = text.format(folder), quoted.format(folder)
    with pytest.raises(errors.UsageError) as refusal:
        getattr(commas, f"check_{flag}")(parse(text))
    message = str(refusal.value)
    assert message.endswith(f"--{flag}={shlex.quote(quoted)}")
    (argument,) = shlex.split(message.rpartition(": ")[2])
    getattr(commas, f"check_{flag}")(parse(argument.partition("=")[2]))


@pytest.mark.parametrize(
    "text",
    ["digits,cifar10", "folder:a,digits", "folder:a,z", "folder:no,z", "folder:"],
)
def test_other_data_sets_are_let_through(text, folder):
    commas.check_datasets(parse(text))


def test_a_model_with_a_comma_is_recognised_among_weights(folder):
    models = ["a,b/n.keras"]
    with pytest.raises(errors.UsageError, match=r"a,b/n\.keras=none, with a comma"):
        commas.check_weights(parse("a,b/n.keras=none"), models)
    commas.check_weights(parse('"a,b/n.keras=none"'), models)


@pytest.mark.parametrize("text", ["resnet18,resnet34", "a/n.keras,resnet18", "x,y"])
def test_other_models_are_let_through(text, folder):
    commas.check_models(parse(text))


@pytest.mark.parametrize("text", ["none", "a/w.safetensors", "resnet18=a,resnet34=b"])
def test_other_weights_are_let_through(text, folder):
    commas.check_weights(parse(text))
