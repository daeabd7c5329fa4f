"""Weights files: what is read from them, and every way they are refused."""

import re

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors
from normtest_tf.backbones import h5_weights, safetensors_weights, weights


def small(include_top=True, classes=10, **options):
    return backbones.CifarResNet8(
        include_top=include_top, weights=None, classes=classes, **options
    )


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def donor():
    return randomise(small())


@pytest.fixture
def path(tmp_path, donor):
    path = tmp_path / "donor.safetensors"
    safetensors_weights.save(donor, path)
    return path


def same_weights(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


def rewrite(path, change):
    """Applies `change` to the tensors in a file."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refused(path, *words, model=None):
    model = model or small()
    before = model.get_weights()
    with pytest.raises(errors.UsageError) as caught:
        weights.load_file(model, path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_safetensors_round_trip_in_pytorchs_layout(path, donor):
    tensors = load_file(path)
    assert tensors["layer2.0.conv1.weight"].shape == (64, 32, 3, 3)
    assert tensors["fc.weight"].shape == (10, 128)
    assert tensors["layer2.0.downsample.1.running_var"].shape == (64,)
    model = small()
    assert weights.load_file(model, path) == []
    assert same_weights(model, donor)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_are_converted(path, donor, dtype):
    rewrite(path, lambda t: t.update({k: v.astype(dtype) for k, v in t.items()}))
    model = small()
    weights.load_file(model, path)
    expected = np.array(donor.get_layer("conv1").kernel).astype(dtype)
    np.testing.assert_array_equal(
        model.get_layer("conv1").kernel, expected.astype("float32")
    )


def test_num_batches_tracked_is_ignored(path, donor):
    rewrite(path, lambda t: t.update({"bn1.num_batches_tracked": np.array(7)}))
    model = small()
    weights.load_file(model, path)
    assert same_weights(model, donor)


def test_old_names_of_densenets_are_understood(tmp_path):
    """As torchvision's files have them: `denselayer1.norm.1` for `norm1`."""
    options = {"weights": None, "classes": 3, "input_shape": (32, 32, 3)}
    donor = randomise(backbones.DenseNet121(**options))
    path = tmp_path / "old.safetensors"
    safetensors_weights.save(donor, path)
    new = load_file(path)
    assert "features.denseblock1.denselayer1.norm1.weight" in new
    old = {re.sub(r"(layer\d+\.(norm|conv))([12])", r"\1.\3", k): new[k] for k in new}
    assert "features.denseblock4.denselayer16.conv.2.weight" in old
    save_file(old, path)
    model = backbones.DenseNet121(**options)
    assert weights.load_file(model, path) == []
    assert same_weights(model, donor)


def test_classifier_of_another_size_is_left_out_and_said(path):
    model = small(classes=3)
    before = np.array(model.get_layer("fc").kernel)
    assert weights.load_file(model, path) == [
        "left out the classifier of 10 classes in donor.safetensors"
    ]
    np.testing.assert_array_equal(model.get_layer("fc").kernel, before)
    assert len(weights.load_file(small(include_top=False), path)) == 1


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


@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5", ".h5"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\xff" * 64])
def test_not_a_weights_file(tmp_path, suffix, content):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    refused(path, "not a complete")


def test_truncated_files(path, donor, tmp_path):
    h5_path = tmp_path / "donor.weights.h5"
    donor.save_weights(h5_path)
    for file in (path, h5_path):
        file.write_bytes(file.read_bytes()[:-1000])
        refused(file, "not a complete")


def test_keras_3_file(tmp_path, donor):
    path = tmp_path / "donor.weights.h5"
    donor.save_weights(path)
    model = small()
    assert weights.load_file(model, path) == []
    assert same_weights(model, donor)
    for other in (small(include_top=False), small(classes=4)):
        (left_out,) = weights.load_file(other, path)
        assert "left out the classifier" in left_out
        np.testing.assert_array_equal(
            other.get_layer("layer3_0_conv2").kernel,
            donor.get_layer("layer3_0_conv2").kernel,
        )
    wrong = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    wrong.save_weights(path)
    refused(path, "another network")


def mobilenet(**options):
    return keras.applications.MobileNet(
        alpha=0.25, weights=None, input_shape=(32, 32, 3), **options
    )


def save_keras_2(model, path, skip=()):
    """Writes a file in the layout of Keras 2, by its format alone."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.name not in skip]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            variables = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{layer.name}/{v.name}:0" for v in variables]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, variables, strict=True):
                group.create_dataset(name, data=np.array(variable))


def test_keras_2_file(tmp_path):
    donor = randomise(mobilenet(include_top=False, pooling="avg"))
    path = tmp_path / "mobilenet.h5"
    save_keras_2(donor, path)
    model = mobilenet(include_top=False, pooling="avg")
    assert weights.load_file(model, path) == []
    assert same_weights(model, donor)


def test_keras_2_file_with_a_classifier(tmp_path):
    donor = randomise(mobilenet(include_top=True, classes=5))
    path = tmp_path / "mobilenet.h5"
    save_keras_2(donor, path)
    model = mobilenet(include_top=False, pooling="avg")
    (left_out,) = weights.load_file(model, path)
    assert "left out the classifier 'conv_preds'" in left_out
    np.testing.assert_array_equal(
        model.get_layer("conv_pw_13").kernel, donor.get_layer("conv_pw_13").kernel
    )


def test_wrong_keras_2_files(tmp_path):
    model = mobilenet(include_top=False, pooling="avg")
    path = tmp_path / "mobilenet.h5"
    save_keras_2(model, path, skip=["conv_dw_3_bn"])
    refused(path, "lacks", "conv_dw_3_bn", model=model)
    other = keras.applications.MobileNet(
        alpha=0.5, weights=None, input_shape=(32, 32, 3), include_top=False
    )
    save_keras_2(other, path)
    refused(path, "has shape", model=model)


def test_h5_expectations_follow_the_model():
    shapes = h5_weights._expected_legacy(mobilenet(include_top=False))
    assert shapes["conv1/0"] == (3, 3, 3, 8)
    assert shapes["conv1_bn/3"] == (8,)


def test_a_keras_2_file_under_the_name_of_keras_3(tmp_path):
    model = mobilenet(include_top=False, pooling="avg")
    path = tmp_path / "mobilenet.weights.h5"
    save_keras_2(model, path)
    refused(path, "Keras 2's layout", model=model)


def test_safetensors_are_not_for_keras_networks(path):
    with pytest.raises(errors.UsageError, match="timm's layout"):
        backbones.resolve("keras_mobilenet_025", str(path))


def test_nothing_is_claimed_of_weights_without_a_tag(path):
    for weights_flag in (str(path), "none"):
        pretraining = backbones.resolve("resnet18", weights_flag).pretraining
        assert pretraining.trained_on == pretraining.licence == "unknown"
        assert (
            pretraining.statistics
            == backbones.resolve("resnet18").pretraining.statistics
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda size, header: (size + 10**9, header),
        lambda size, header: (
            size,
            header.replace(b'"data_offsets":[0,', b'"data_offsets":[8,', 1),
        ),
        lambda size, header: (size, header.replace(b"F32", b"F16", 1)),
    ],
)
def test_a_header_that_lies(path, change):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    lie, header = change(size, data[8 : 8 + size])
    path.write_bytes(lie.to_bytes(8, "little") + header + data[8 + size :])
    refused(path, "not a complete")
