"""Weights in timm's layout: what is read, and every way a file is refused."""

import re

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones
from normtest_tf.backbones.weights import safetensors_files
from tests.backbones.weights.helpers import (
    load,
    randomise,
    refused,
    rewrite,
    same_weights,
    small,
)


def test_a_saved_file_has_pytorchs_layout_and_loads_unchanged(path, donor):
    tensors = load_file(path)
    assert tensors["layer2.0.conv1.weight"].shape == (64, 32, 3, 3)
    assert tensors["fc.weight"].shape == (10, 128)
    assert tensors["layer2.0.downsample.1.running_var"].shape == (64,)
    model = small()
    assert load(model, path) == []
    assert same_weights(model, donor)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_are_converted(path, donor, dtype):
    rewrite(path, lambda t: t.update({k: v.astype(dtype) for k, v in t.items()}))
    model = small()
    load(model, path)
    expected = np.array(donor.get_layer("conv1").kernel).astype(dtype)
    np.testing.assert_array_equal(
        model.get_layer("conv1").kernel, expected.astype("float32")
    )


def test_num_batches_tracked_is_ignored(path, donor):
    rewrite(path, lambda t: t.update({"bn1.num_batches_tracked": np.array(7)}))
    model = small()
    load(model, path)
    assert same_weights(model, donor)


def test_old_names_of_densenets_are_understood(tmp_path):
    """As torchvision's files have them: `denselayer1.norm.1` for `norm1`."""
    options = {"weights": None, "classes": 3, "input_shape": (32, 32, 3)}
    donor = randomise(backbones.DenseNet121(**options))
    path = tmp_path / "old.safetensors"
    safetensors_files.save(donor, path)
    new = load_file(path)
    assert "features.denseblock1.denselayer1.norm1.weight" in new
    old = {re.sub(r"(layer\d+\.(norm|conv))([12])", r"\1.\3", k): new[k] for k in new}
    assert "features.denseblock4.denselayer16.conv.2.weight" in old
    save_file(old, path)
    model = backbones.DenseNet121(**options)
    assert load(model, path) == []
    assert same_weights(model, donor)


def test_a_classifier_of_another_size_is_skipped_with_a_note(path):
    model = small(classes=3)
    before = np.array(model.get_layer("fc").kernel)
    note = "skipped the classifier of 10 classes in donor.safetensors"
    assert load(model, path) == [note]
    np.testing.assert_array_equal(model.get_layer("fc").kernel, before)
    assert load(small(include_top=False), path) == [note]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("bn1.running_var"), ["lacks", "bn1.running_var"]),
        (lambda t: t.pop("fc.bias"), ["fc.bias"]),
        (
            lambda t: t.update({"bn1.scale": t.pop("bn1.weight")}),
            ["lacks", "bn1.weight"],
        ),
        (lambda t: t.update({"x.y": np.zeros(1, "f4")}), ["unknown", "x.y"]),
        (
            lambda t: t.update(
                {"conv1.weight": t["conv1.weight"].transpose(2, 3, 1, 0).copy()}
            ),
            ["conv1.weight", "[3, 3, 3, 32]", "[32, 3, 3, 3]"],
        ),
        (
            lambda t: t.update({"fc.weight": np.zeros((7, 64), "f4")}),
            ["fc.weight", "[7, 64]"],
        ),
        (
            lambda t: t.update({"bn1.bias": np.full(32, np.nan, "f4")}),
            ["bn1.bias", "not finite"],
        ),
        (
            lambda t: t.update({"bn1.bias": np.zeros(32, "i4")}),
            ["bn1.bias", "I32", "F16"],
        ),
    ],
)
def test_a_wrong_tensor_is_named(path, change, words):
    rewrite(path, change)
    refused(path, *words)


def test_another_network_is_refused(path):
    model = backbones.ResNet18(weights=None, input_shape=(32, 32, 3))
    refused(path, "another network", model=model)


@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize("content", [b"not weights at all", b"\xff" * 64])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    refused(path, "not a complete", "again")


def test_truncated_files_are_refused(path, donor, tmp_path):
    h5_path, keras_path = tmp_path / "donor.weights.h5", tmp_path / "donor.keras"
    donor.save_weights(h5_path)
    donor.save(keras_path)
    for file in (path, h5_path, keras_path):
        file.write_bytes(file.read_bytes()[:-1000])
        refused(file, "not a complete")
