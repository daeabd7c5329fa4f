"""Weights files: what is read from them, and every way they are refused."""

import json
import re
import tracemalloc

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors
from normtest_tf.backbones import (
    h5_weights,
    safetensors_header,
    safetensors_weights,
    weights,
)


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


def parts(path):
    """Returns a file's header and the bytes of its tensors."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def lie(path, header, data, claimed=None):
    """Writes a file with any header, and any claim of its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if claimed is None else claimed
    path.write_bytes(length.to_bytes(8, "little") + text + data)


FC = "fc.weight"  # 10 x 128 floats, 5120 bytes.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_offsets": [8, 5128]}, ["overlaps tensor"]),
        ({"data_offsets": [10**9, 10**9 + 5120]}, ["ends at byte", "cut off"]),
        ({"data_offsets": [5120, 0]}, ["impossible offsets"]),
        ({"data_offsets": [0, 2**70]}, ["impossible offsets"]),
        ({"data_offsets": [0, 1, 2]}, ["impossible offsets"]),
        ({"data_offsets": [-5120, 0]}, ["impossible offsets"]),
        ({"shape": [10, 129]}, ["[10, 129]", "F32", "5120 bytes"]),
        ({"shape": [2**40, 2**60]}, [str(2**60), "5120 bytes"]),
        ({"shape": [2**64, 0]}, ["impossible shape"]),
        ({"shape": [1] * 10**6}, ["impossible shape"]),
        ({"shape": "10"}, ["impossible shape"]),
        ({"shape": [10.0, 128]}, ["impossible shape"]),
        ({"shape": [True, 1280]}, ["impossible shape"]),
        ({"dtype": "F16"}, ["F16", "5120 bytes"]),
        ({"dtype": "F33"}, ["unknown dtype 'F33'"]),
        ({"dtype": 7}, ["unknown dtype 7"]),
        ({"dtype": None}, ["unknown dtype None"]),
    ],
)
def test_a_header_that_lies_of_a_tensor(path, changes, words):
    header, data = parts(path)
    header[FC].update(changes)
    lie(path, header, data)
    refused(path, "not a complete", f"tensor '{FC}'", *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [128, 10]}, ["[128, 10]", "[10, 128]"]),
        ({"shape": [10, 128, 1]}, ["[10, 128, 1]"]),
        ({"dtype": "I32"}, ["dtype I32"]),
        ({"dtype": "U8", "shape": [5120]}, ["has shape [5120]"]),
        ({"dtype": "F8_E4M3", "shape": [10, 512]}, ["[10, 512]"]),
    ],
)
def test_a_header_that_lies_so_that_the_library_believes_it(path, changes, words):
    header, data = parts(path)
    header[FC].update(changes)
    lie(path, header, data)
    refused(path, f"tensor '{FC}'", *words)


@pytest.mark.parametrize("key", ["dtype", "shape", "data_offsets"])
def test_a_header_that_lacks_or_repeats_a_key(path, key):
    header, data = parts(path)
    value = header[FC].pop(key)
    lie(path, header, data)
    refused(path, f"tensor '{FC}' lacks the key '{key}'")
    header[FC].update({key: value, "again": value})
    lie(path, json.dumps(header).replace('"again"', f'"{key}"').encode(), data)
    refused(path, f"tensor '{FC}' has the key '{key}' 2 times")


@pytest.mark.parametrize(
    "entry", [7, [], [["dtype", "F32"]], json.loads("[" * 500 + "]" * 500)]
)
def test_a_tensor_that_is_no_object(path, entry):
    header, data = parts(path)
    header[FC] = entry
    lie(path, header, data)
    refused(path, "not a complete", f"tensor '{FC}' is described by no JSON object")


@pytest.mark.parametrize("same_place", [True, False])
def test_two_tensors_of_one_name(path, same_place):
    """The library takes the later one where all bytes still belong to some tensor."""
    header, data = parts(path)
    first = dict(header[FC], shape=[128, 10])
    if not same_place:
        first["data_offsets"] = [len(data), len(data) + 5120]
        data += bytes(5120)
    header = {"twice": first, **header}
    lie(path, json.dumps(header).replace("twice", FC).encode(), data)
    refused(path, f"'{FC}' 2 times")


def test_one_tensor_under_an_old_and_a_new_name(tmp_path):
    name = "features.denseblock1.denselayer1.norm"
    path = tmp_path / "both.safetensors"
    save_file({f"{name}{dot}1.bias": np.zeros(4, "f4") for dot in (".", "")}, path)
    refused(path, "under two names", f"{name}1.bias", f"{name}.1.bias")


@pytest.mark.parametrize(
    ("header", "claimed", "word"),
    [
        (b"", 10**12, "at most 100000000"),
        (b"{}", 2**64 - 1, "at most 100000000"),
        (b"{}", 10**6, "it was cut off"),
        (b"{", None, "no JSON"),
        (b"[]", None, "no JSON object"),
        (b"[" * 10**6, None, "no JSON"),
        (b'{"\xff": 0}', None, "no JSON"),
        (b"9" * 10**4, None, "no JSON"),
        (b"{}", None, "no tensors"),
    ],
)
def test_a_header_that_is_none(path, header, claimed, word):
    lie(path, header, b"some bytes", claimed)
    refused(path, "not a complete", word)


def test_bytes_that_belong_to_no_tensor(path):
    header, data = parts(path)
    last = max(header, key=lambda name: header[name]["data_offsets"][1])
    lie(path, header, data + b"more")
    refused(path, f"4 bytes follow tensor '{last}'")
    header[last]["data_offsets"] = [
        offset + 4 for offset in header[last]["data_offsets"]
    ]
    lie(path, header, data + b"more")
    refused(path, "4 bytes between tensor", f"and tensor '{last}' belong to none")


def test_a_long_name_in_a_header_is_cut_short(path):
    lie(path, {"n\n" * 10**6: {}}, b"")
    with pytest.raises(errors.UsageError, match="lacks the key 'dtype'") as caught:
        weights.load_file(small(), path)
    assert len(str(caught.value)) < len(str(path)) + 300
    assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_off(path):
    """Wherever it was: among the tensors, the first that is incomplete is named."""
    header, data = parts(path)
    whole = path.read_bytes()
    start = len(whole) - len(data)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        for length in {begin, begin + 1, end - 1}:
            path.write_bytes(whole[: start + length])
            problem = safetensors_header.fault(path)
            assert problem.startswith(
                f"tensor '{name}' ends at byte {start + end} of a"
            )
    refused(path, f"'{name}'", "it was cut off; download or write it again")
    for length in (0, 1, 7):
        path.write_bytes(whole[:length])
        refused(path, "too few for a header")
    for length in (8, 9, start // 2, start - 1):
        path.write_bytes(whole[:length])
        refused(path, f"its header ends at byte {start} of", "it was cut off")


def test_absurd_float64_values_are_not_finite_as_float32(path):
    rewrite(path, lambda t: t.update({"bn1.bias": np.full(32, 1e300)}))
    refused(path, "bn1.bias", "not finite")


def changed_variables(model, tensors):
    """Returns by tensor how many of a model's values are not the file's."""
    found = {}
    for name, variable in safetensors_weights.variables_by_tensor(model).items():
        stored = safetensors_weights.from_pytorch(tensors[name])
        found[name] = int(np.sum(np.array(variable) != stored))
    return {name: count for name, count in found.items() if count}


def tensor_at(path, position):
    header, data = parts(path)
    position -= path.stat().st_size - len(data)
    return next(
        (
            name
            for name, entry in header.items()
            if entry["data_offsets"][0] <= position < entry["data_offsets"][1]
        ),
        None,
    )


def test_a_single_wrong_byte_is_refused_or_changes_one_number(path):
    """Which number it is, or that it is wrong, only a checksum could tell."""
    whole, tensors = path.read_bytes(), load_file(path)
    header_end = len(whole) - len(parts(path)[1])
    rng = np.random.default_rng(0)
    positions = [
        *rng.integers(header_end, size=150),
        *rng.integers(len(whole), size=150),
    ]
    owners = [tensor_at(path, position) for position in positions]
    model, loaded, refusals = small(), 0, []
    tracemalloc.start()
    for position, owner in zip(positions, owners, strict=True):
        mutated = bytearray(whole)
        mutated[position] ^= int(rng.integers(1, 256))
        path.write_bytes(mutated)
        try:
            weights.load_file(model, path)
        except errors.UsageError as error:
            refusals.append((owner, str(error)))
        else:
            loaded += 1
            assert changed_variables(model, tensors) in ({}, {owner: 1})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded > 100
    assert len(refusals) > 100
    assert all(repr(owner) in error for owner, error in refusals if owner)
    assert peak < 50e6
