"""Keras computes as runs need it, whatever keras.json and the environment say."""

import importlib.util
import json
import os
import resource

import keras
import pytest
import tensorflow as tf

from normtest_tf import backbones, errors
from normtest_tf.runs import finetuning
from normtest_tf.system import keras_setup
from tests.helpers import programs

OURS = {
    "image_data_format": "channels_last",
    "floatx": "float32",
    "epsilon": 1e-7,
    "dtype_policy": "float32",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
THEIRS = {
    "image_data_format": "channels_first",
    "floatx": "float16",
    "epsilon": 1e-3,
    "dtype_policy": "mixed_bfloat16",
    "max_epochs": 1,
    "max_steps_per_epoch": 1,
}


@pytest.fixture(params=THEIRS)
def theirs(request):
    """One setting of somebody else's process."""
    name = request.param
    setter = getattr(keras.config, f"set_{name}")
    setter(THEIRS[name])
    yield name
    setter(OURS[name])


def test_a_call_in_a_process_of_other_settings_is_refused(theirs, config, digits):
    with pytest.raises(errors.UsageError, match=rf"Keras is set to {theirs}=.* first"):
        finetuning.run(config, digits)
    assert not config.folder.path.exists()
    keras_setup.import_keras()
    with keras_setup.checked():
        pass


def test_a_network_is_built_in_the_dtypes_of_its_caller(theirs):
    """As those of Keras Applications are."""
    network = backbones.resolve("cifar_resnet8", "none")
    if theirs in ("floatx", "dtype_policy"):
        model = network.build((32, 32, 3))
        assert model.dtype_policy == keras.config.dtype_policy()
    else:
        with pytest.raises(errors.UsageError, match=f"set to {theirs}="):
            network.build((32, 32, 3))


IMPORT = """
import json
from normtest_tf.system import keras_setup
keras_setup.import_tensorflow()
import keras
found = keras.config
print(json.dumps([found.floatx(), found.image_data_format(), found.epsilon(),
    keras.backend.backend(), found.max_epochs(), found.dtype_policy().name]))
"""
THEIR_JSON = {
    **{name: THEIRS[name] for name in ("image_data_format", "epsilon")},
    **{"floatx": "float64", "backend": "torch", "dtype_policy": "mixed_float16"},
}


def test_keras_json_and_the_environment_are_overruled(tmp_path):
    path, text = tmp_path / "keras.json", json.dumps(THEIR_JSON)
    path.write_text(text)
    env = {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1", "KERAS_BACKEND": ""}
    done = programs.run_code(IMPORT, env=env)
    ours = ["float32", "channels_last", 1e-7, "tensorflow", None, "float32"]
    assert json.loads(done.stdout) == ours
    assert path.read_text() == text
    assert not done.stderr


def test_what_keras_refuses_to_read_is_named(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "bfloat16"}')
    env = {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1"}
    flags = ["--dataset=digits", "--model=cifar_resnet8", "--results_dir=r"]
    done = programs.run("train", *flags, env=env, cwd=tmp_path)
    programs.assert_refused(done, "can't import Keras with the backend tensorflow: ")
    for words in ("check what it reads (keras.json", ", KERAS_MAX_EPOCHS=1"):
        assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["keras.json"]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: keras_setup.backend(), "unknown KERAS_BACKEND 'theano'. Allowed: ten"),
        (lambda: keras_setup.choose_backend("torch"), "--backend=torch needs torch"),
        (lambda: keras_setup.choose_backend("jax"), "--backend=jax comes too late"),
    ],
)
def test_a_backend_that_cannot_be_used_is_refused(check, words, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else name
    )
    with pytest.raises(errors.UsageError, match=words):
        check()
    assert os.environ["KERAS_BACKEND"] == "theano"
    keras_setup.choose_backend("tensorflow")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_tensorflow_leaves_the_gpus_to_another_backend(backend, monkeypatch):
    hidden = []
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda *args: hidden.append(args)
    )
    keras_setup.import_tensorflow()
    assert hidden == ([] if backend == "tensorflow" else [([], "GPU")])
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**31, -1))
    with pytest.raises(errors.UsageError, match=r"`ulimit -v` allows 2\.0 GiB"):
        keras_setup.import_tensorflow()


def test_jax_takes_no_settings_that_keras_cannot_bear(monkeypatch):
    jax = pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    keras_setup.import_tensorflow()
    assert (jax.numpy.ones([2, 3]) + jax.numpy.ones(3)).shape == (2, 3)
    monkeypatch.setattr(jax, "devices", lambda: {}["cuda"])
    with pytest.raises(errors.UsageError, match=r"no device: 'cuda'.*PLATFORMS=cuda"):
        keras_setup.import_tensorflow()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_jax_looks_for_no_gpu_where_all_are_hidden(hidden, monkeypatch):
    jax = pytest.importorskip("jax")
    updated = []
    monkeypatch.setattr(jax.config, "update", lambda *args: updated.append(args))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    for platforms, expected in (("cuda", []), ("", [("jax_platforms", "cpu")])):
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
        keras_setup.import_tensorflow()
        assert updated[1:] == expected
        updated.clear()


def test_only_what_is_written_inside_the_block_is_discarded(capfd):
    @keras_setup.silent_stderr()
    def fail():
        os.write(2, b"inside ")
        raise KeyError

    os.write(2, b"before ")
    with pytest.raises(KeyError):
        fail()
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"
