import hashlib

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors

SHAPE = (32, 32, 3)


@pytest.mark.parametrize("name", ["cifar_resnet8", "keras_mobilenet_025"])
def test_networks_of_both_kinds_are_built_with_pooled_features(name):
    model = backbones.resolve(name, "none").build(SHAPE)
    assert len(model.output_shape) == 2


def test_a_network_is_built_with_the_weights_of_its_tag():
    notes = []
    model = backbones.resolve("cifar_resnet8").build(SHAPE, notes.append)
    assert notes == []  # A tag's classifier is not part of a feature extractor.
    expected = backbones.CifarResNet8().get_layer("layer3_0_conv2").kernel
    np.testing.assert_array_equal(model.get_layer("layer3_0_conv2").kernel, expected)


def test_a_classifier_in_the_users_file_is_skipped_with_a_note():
    path = backbones.resolve("cifar_resnet8").fetch()
    notes = []
    model = backbones.resolve("cifar_resnet8", str(path)).build(SHAPE, notes.append)
    assert notes == [f"skipped the classifier 'fc' in {path.name}"]
    expected = backbones.CifarResNet8().get_layer("layer3_0_conv2").kernel
    np.testing.assert_array_equal(model.get_layer("layer3_0_conv2").kernel, expected)


def test_a_network_of_keras_is_built_with_the_weights_that_keras_downloads(monkeypatch):
    received = {}

    def mobilenet(**arguments):
        received.update(arguments)
        return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])

    monkeypatch.setattr(keras.applications, "MobileNet", mobilenet)
    backbones.resolve("keras_mobilenet_025").build(SHAPE)
    assert received == {
        "alpha": 0.25,
        "include_top": False,
        "weights": "imagenet",
        "input_shape": SHAPE,
        "pooling": "avg",
    }


def test_images_that_are_too_small_are_refused():
    with pytest.raises(errors.UsageError, match=r"at least 71 pixels.*32x32"):
        backbones.resolve("keras_xception", "none").build(SHAPE)


def test_weights_are_a_tag_none_or_a_file(tmp_path):
    default = backbones.resolve("resnet18")
    assert (default.architecture, default.tag) == (backbones.get("resnet18"), "tv_in1k")
    assert backbones.resolve("resnet18", "a1_in1k").label == "a1_in1k"
    assert backbones.resolve("resnet18", "none").label == "none"
    path = tmp_path / "mine.safetensors"
    path.write_text("some weights")
    network = backbones.resolve("resnet18", str(path))
    assert (network.path, network.label) == (path, "mine.safetensors")
    keras_path = tmp_path / "mine.h5"
    keras_path.write_text("some weights")
    network = backbones.resolve("keras_resnet50", str(keras_path))
    assert network.pretraining.channel_order == "bgr"


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("resnet18", "weights.onnx", "does not look like a weights file"),
        ("resnet18", "weights.pt", "pickle of PyTorch"),
        ("resnet18", "folder", "folder holds no weights"),
        ("resnet18", "/dev/null", "neither a file nor a tag"),
        ("resnet18", "x" * 5000, "neither a file nor a tag"),
        ("resnet18", "tv_in2k", "Allowed: a tag .tv_in1k"),
        ("keras_resnet50", "mine.safetensors", "networks in timm's layout"),
        ("resnet19", None, "Did you mean 'resnet18'"),
    ],
)
def test_other_weights_are_refused(tmp_path, monkeypatch, model, weights, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("weights.pt", "weights.onnx", "mine.safetensors"):
        (tmp_path / name).write_text("some weights")
    with pytest.raises(errors.UsageError, match=message):
        backbones.resolve(model, weights)


def test_nothing_is_claimed_about_weights_without_a_tag(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_text("some weights")
    default = backbones.resolve("resnet18").pretraining
    for weights, origin in [(str(path), "file"), ("none", "none")]:
        pretraining = backbones.resolve("resnet18", weights).pretraining
        assert pretraining.origin == origin
        assert pretraining.trained_on == pretraining.licence == "unknown"
        assert pretraining.statistics == default.statistics


def test_only_files_have_a_digest(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(b"some weights")
    digest = hashlib.sha256(b"some weights").hexdigest()
    assert backbones.resolve("resnet18", str(path)).sha256() == digest
    assert backbones.resolve("resnet18").sha256() is None
    assert backbones.resolve("resnet18", "none").sha256() is None
