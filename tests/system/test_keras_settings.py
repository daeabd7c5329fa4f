"""What a run computes depends neither on keras.json nor on the caller's settings."""

import importlib.util
import json
import os

import keras
import numpy as np
import pytest
import tensorflow

from normtest_tf import backbones, errors, normalization
from normtest_tf.runs import finetuning
from normtest_tf.system import keras_setup
from normtest_tf.training import classifier
from tests.helpers import programs, tiny_runs

TASK = classifier.Task((32, 32, 3), num_classes=4)
THEIRS = {
    "image_data_format": "channels_first",
    "floatx": "float16",
    "epsilon": 1e-3,
    "dtype_policy": "mixed_bfloat16",
    "max_epochs": 1,
    "max_steps_per_epoch": 1,
}


def current():
    values = {name: getattr(keras.config, name)() for name in THEIRS}
    return values | {"dtype_policy": values["dtype_policy"].name}


def apply(values):
    for name, value in values.items():
        getattr(keras.config, f"set_{name}")(value)


@pytest.fixture
def theirs():
    """Settings of somebody else's process."""
    before = current()
    apply(THEIRS)
    yield THEIRS
    apply(before)


def test_a_block_has_our_settings_and_leaves_theirs(theirs):
    with keras_setup.checked():
        assert current() == {
            "image_data_format": "channels_last",
            "floatx": "float32",
            "epsilon": 1e-7,
            "dtype_policy": "float32",
            "max_epochs": None,
            "max_steps_per_epoch": None,
        }
    assert current() == theirs


def test_an_exception_and_a_cleared_session_leave_their_settings(theirs):
    @keras_setup.checked()
    def clear_and_fail():
        keras.utils.clear_session()
        assert keras.config.dtype_policy().name == "float32"
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            clear_and_fail()
        assert current() == theirs


def test_a_network_is_built_in_the_dtypes_of_its_caller(theirs):
    with keras_setup.checked(dtypes=False):
        assert keras.config.image_data_format() == "channels_last"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert keras.config.floatx() == "float16"


def shapes(model):
    return model.output_shape, [weights.shape for weights in model.weights]


@pytest.mark.parametrize(
    "build",
    [
        lambda: backbones.ResNet18(weights=None),
        lambda: backbones.ResNet50(weights=None, include_top=False, pooling="max"),
        lambda: backbones.DenseNet121(weights=None, include_top=False),
        lambda: backbones.get("keras_mobilenet_025").build(
            weights=None, include_top=False, input_shape=(32, 32, 3)
        ),
        lambda: backbones.resolve("keras_mobilenetv3small", "none").build((32, 32, 3)),
        lambda: backbones.resolve("cifar_resnet8").build((32, 32, 3)),
    ],
    ids=["resnet18", "resnet50", "densenet121", "mobilenet", "mobilenetv3", "cifar"],
)
def test_a_network_does_not_depend_on_the_callers_layout(build):
    expected = shapes(build())
    keras.config.set_image_data_format("channels_first")
    try:
        assert shapes(build()) == expected
    finally:
        keras.config.set_image_data_format("channels_last")


def logits():
    """Returns the logits of a new classifier on a random image."""
    model = classifier.build_classifier(
        backbones.resolve("cifar_resnet8"),
        normalization.normalization_layer(normalization.IMAGENET, TASK.image_shape),
        TASK,
        seed=1,
    )
    pixels = np.random.default_rng(0).integers(0, 256, [2, *TASK.image_shape], "uint8")
    assert {str(value.dtype) for value in model.get_weights()} == {"float32"}
    return np.array(model(pixels, training=False))


def test_a_classifier_does_not_depend_on_the_callers_settings():
    expected, before = logits(), current()
    apply(THEIRS)
    try:
        np.testing.assert_array_equal(logits(), expected)
        assert current() == THEIRS
    finally:
        apply(before)


def test_a_run_does_not_depend_on_the_callers_settings(
    config, digits, expected, theirs
):
    finetuning.run(config, digits)
    assert tiny_runs.outcome(config) == expected
    assert current() == theirs
    environment = json.loads(config.folder.config.read_text())["environment"]
    assert environment["floatx"] == "float32"
    assert environment["image_data_format"] == "channels_last"
    assert environment["keras_epsilon"] == 1e-7


IMPORT = """
import json
from normtest_tf.system import keras_setup
keras_setup.import_tensorflow()
import keras
from keras.src.backend import config
print(json.dumps([
    keras_setup.describe(), keras.backend.backend(), keras.config.max_epochs(),
    config.keras_home(),
]))
"""


HARMLESS = {
    "no file": (None, {}),
    "other settings": (
        '{"floatx": "float16", "epsilon": 0.5, "backend": "theano",'
        ' "image_data_format": "channels_first"}',
        {
            "KERAS_BACKEND": "",
            "KERAS_MAX_EPOCHS": "1",
            "KERAS_MAX_STEPS_PER_EPOCH": "1",
            "KERAS_NNX_ENABLED": "false",
        },
    ),
    "float64": ('{"floatx": "float64", "backend": "torch"}', {}),
    "not JSON": ('{"floatx": "float16", ', {}),
}


@pytest.mark.parametrize("how", HARMLESS)
def test_keras_json_and_the_environment_are_overruled(how, tmp_path):
    content, variables = HARMLESS[how]
    path = tmp_path / "keras.json"
    if content is not None:
        path.write_text(content)
    env = {"KERAS_HOME": str(tmp_path), **variables}
    done = programs.run_code(IMPORT, env=env)
    described, backend, max_epochs, home = json.loads(done.stdout)
    assert described == {
        "floatx": "float32",
        "image_data_format": "channels_last",
        "keras_epsilon": 1e-7,
    }
    assert (backend, max_epochs) == ("tensorflow", None)
    assert home == str(tmp_path)  # Where downloads are cached.
    if content is not None:
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]  # Keras itself writes a missing file.
    assert not done.stderr


FILE = "check what it reads (keras.json in KERAS_HOME or ~/.keras"
UNUSABLE = {
    "floatx": ('{"floatx": "bfloat16"}', {}, ["floatx=bfloat16", FILE]),
    "epsilon": ('{"epsilon": 1}', {}, ["epsilon=1", FILE]),
    "layout": ('{"image_data_format": "hwc"}', {}, ["image_data_format=hwc", FILE]),
    "list": ("[]", {}, [FILE]),
    "folder": (None, {}, ["Is a directory", FILE]),
    "epochs": ("{}", {"KERAS_MAX_EPOCHS": "many"}, [", KERAS_MAX_EPOCHS=many), or"]),
    "steps": (
        "{}",
        {"KERAS_MAX_STEPS_PER_EPOCH": "1.5"},
        [", KERAS_MAX_STEPS_PER_EPOCH=1.5), or"],
    ),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_what_keras_refuses_to_read_is_named(how, tmp_path):
    content, variables, words = UNUSABLE[how]
    path = tmp_path / "keras.json"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    env = {"KERAS_HOME": str(tmp_path), **variables}
    flags = ["--dataset=digits", "--model=cifar_resnet8", "--results_dir=r"]
    done = programs.run("train", *flags, env=env, cwd=tmp_path)
    for word in ["can't import Keras with the backend tensorflow: ", *words]:
        programs.assert_refused(done, word)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("theano", "unknown KERAS_BACKEND 'theano'. Allowed: tensorflow, jax, torch"),
        ("TensorFlow", "Did you mean 'tensorflow'"),
        ("torch", "KERAS_BACKEND=torch asks for a backend of Keras that is not inst"),
    ],
)
def test_a_backend_that_is_not_there_is_refused(name, words, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.delitem(keras_setup.sys.modules, "torch", raising=False)
    monkeypatch.setattr(keras_setup.importlib.util, "find_spec", lambda name: None)
    for check in (keras_setup.backend, keras_setup.check_can_train):
        with pytest.raises(errors.UsageError, match="Unset KERAS_BACKEND") as caught:
            check()
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("", "tensorflow"), ("jax", "jax"), ("numpy", "numpy")]
)
def test_the_environment_names_the_backend(value, expected, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", value)
    monkeypatch.setattr(keras_setup.importlib.util, "find_spec", lambda name: name)
    assert keras_setup.backend() == expected
    monkeypatch.delenv("KERAS_BACKEND")
    assert keras_setup.backend() == "tensorflow"


def test_a_backend_that_cannot_train_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    for names in ([], ["numpy"], ["openvino"]):
        with pytest.raises(errors.UsageError, match="can't train a network"):
            keras_setup.check_can_train(*names)
    keras_setup.check_can_train("jax")


def test_a_chosen_backend_is_in_the_environment_of_other_processes(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    keras_setup.choose_backend("tensorflow")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("name", "installed", "words"),
    [
        ("torch", None, "--backend=torch needs torch, which is not installed"),
        ("jax", True, "--backend=jax comes too late"),
    ],
)
def test_a_backend_that_cannot_be_chosen_is_refused(
    name, installed, words, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed)
    with pytest.raises(errors.UsageError, match=words):
        keras_setup.choose_backend(name)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_tensorflow_leaves_the_gpus_to_another_backend(backend, monkeypatch):
    hidden = []
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(
        tensorflow.config, "set_visible_devices", lambda *args: hidden.append(args)
    )
    keras_setup.import_tensorflow()
    assert hidden == ([] if backend == "tensorflow" else [([], "GPU")])
