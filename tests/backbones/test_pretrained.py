"""What --model and --weights mean, and the networks that come of it."""

import huggingface_hub
import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.system import files

SHAPE = (32, 32, 3)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Makes a folder with files the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "two").mkdir()
    for name in (
        *("weights.pt", "a.PTH.tar", "pytorch_model.bin", "weights.onnx"),
        *("mine.safetensors", "mine.h5", "two/model.safetensors", "two/model.keras"),
    ):
        (tmp_path / name).write_text("some weights")


def test_a_classifier_is_skipped_with_a_note_if_the_file_is_the_users():
    path = backbones.resolve("cifar_resnet8").fetch()
    expected = backbones.CifarResNet8().get_layer("layer3_0_conv2").kernel
    note = f"skipped the classifier 'fc' in {path.name}"
    for weights, noted in [(None, []), (str(path), [note])]:
        notes = []
        model = backbones.resolve("cifar_resnet8", weights).build(SHAPE, notes.append)
        assert notes == noted
        assert model.output_shape == (None, 128)
        np.testing.assert_array_equal(
            model.get_layer("layer3_0_conv2").kernel, expected
        )
    with pytest.warns(UserWarning, match="skipped the classifier 'fc'"):
        other = backbones.CifarResNet8(classes=4)
    assert other.output_shape == (None, 4)


def test_a_network_of_keras_is_built_with_the_weights_that_keras_downloads(monkeypatch):
    received = {}

    def mobilenet(**arguments):
        received.update(arguments)
        return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])

    monkeypatch.setattr(keras.applications, "MobileNet", mobilenet)
    backbones.resolve("keras_mobilenet_025").build(SHAPE)
    options = {"include_top": False, "input_shape": SHAPE, "pooling": "avg"}
    assert received == {"alpha": 0.25, "weights": "imagenet", **options}


def test_images_that_are_too_small_are_refused():
    with pytest.raises(errors.UsageError, match=r"at least 71 pixels.*32x32"):
        backbones.resolve("keras_xception", "none").build(SHAPE)


@pytest.mark.parametrize(
    ("model", "weights", "origin", "label"),
    [
        ("resnet18", None, "hf:timm/resnet18.tv_in1k", "tv_in1k"),
        ("resnet18", "a1_in1k", "hf:timm/resnet18.a1_in1k", "a1_in1k"),
        ("resnet18", "none", "none", "none"),
        ("resnet18", "mine.safetensors", "file", "mine.safetensors"),
        ("keras_resnet50", "mine.h5", "file", "mine.h5"),
    ],
)
def test_weights_are_a_tag_none_or_a_file(mine, model, weights, origin, label):
    """Of weights without a tag, only the default tag's inputs are assumed."""
    network = backbones.resolve(model, weights)
    assert (network.pretraining.origin, network.label) == (origin, label)
    assert (network.sha256() is not None) == (origin == "file")
    default = backbones.resolve(model).pretraining
    assert network.pretraining.statistics == default.statistics
    assert network.pretraining.channel_order == default.channel_order
    if network.tag is None:
        assert network.pretraining.trained_on == "unknown"
        assert network.pretraining.licence == "unknown"


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("resnet18", "weights.onnx", "does not look like a weights file"),
        ("resnet18", "weights.pt", "pickle of PyTorch, which can run code"),
        ("resnet18", "a.PTH.tar", r"pickle.*safetensors\.torch\.save_file"),
        ("resnet18", "pytorch_model.bin", "pickle"),
        ("resnet18", "two", "two holds model.keras and model.safetensors. Allowed"),
        ("resnet18", "a\0b", "neither a file nor a tag"),
        ("resnet18", "folder", "folder holds no weights"),
        ("resnet18", "/dev/null", "neither a file nor a tag"),
        ("resnet18", "x" * 5000, "neither a file nor a tag"),
        ("resnet18", "tv_in2k", "Allowed: a tag .tv_in1k"),
        ("keras_resnet50", "mine.safetensors", "networks in timm's layout"),
        ("resnet19", None, "Did you mean 'resnet18'"),
    ],
)
def test_other_weights_are_refused(mine, model, weights, message):
    with pytest.raises(errors.UsageError, match=message):
        backbones.resolve(model, weights)


# Downloads


def test_a_cached_tag_is_used_offline(monkeypatch):
    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = backbones.resolve("resnet18", "a1_in1k").fetch()
    assert path.name == "cached.safetensors"


@pytest.mark.parametrize("problem", [None, "no answer"])
def test_a_tag_that_cannot_be_downloaded_is_one_clear_error(monkeypatch, problem):
    def hub(repository, name, local_files_only=False):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        raise RuntimeError("ReadTimeout")

    def vgg16(**_):
        raise Exception("URL fetch failure") from OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    monkeypatch.setattr(files, "host_problem", lambda url: problem)
    words = rf"resnet18\.tv_in1k from timm/.*{problem or 'ReadTimeout'}.*--weights=PATH"
    with pytest.raises(errors.UsageError, match=words):
        backbones.resolve("resnet18").fetch()
    with pytest.raises(errors.UsageError, match=r"vgg16\.imagenet.*no route to host"):
        backbones.resolve("keras_vgg16").build(SHAPE)
