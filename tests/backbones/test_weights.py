"""Weights files: every format is read whole, or refused in one line."""

import functools
import hashlib
import json
import re
import subprocess

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors, normalization
from normtest_tf.backbones import weights
from normtest_tf.training.classifier import Task, build_classifier
from tests.datasets.helpers import usage_error

SHAPE = (32, 32, 3)
PARTS = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
INDEX = "model.safetensors.index.json"
HEAD = {"weight": np.ones((5, 128), "f4"), "bias": np.ones(5, "f4")}
L = keras.layers


@functools.cache
def built(**options):
    return backbones.CifarResNet8(weights=None, **options)


def small(**options):
    """Returns a network with other weights than the donor's; it is built once."""
    return randomise(built(**options), seed=9)


def bare():
    return small(include_top=False, pooling="avg")


def mobilenet(alpha=0.25, **options):
    return keras.applications.MobileNet(
        alpha=alpha, weights=None, input_shape=SHAPE, **options
    )


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


def check(model, donor, but_last=0, dtype="float32"):
    """Compares a model's weights with the donor's, which may have more at its end."""
    expected = donor.get_weights()[: len(donor.weights) - but_last]
    for ours, theirs in zip(model.get_weights(), expected, strict=False):
        np.testing.assert_array_equal(ours, theirs.astype(dtype).astype("float32"))


def load(model, path):
    """Loads a weights file and returns the notes."""
    notes = []
    weights.load_file(model, path, notes.append)
    return notes


def refused(path, *words, model=None):
    model = model or small()
    before = model.get_weights()
    with usage_error(path, *words):
        load(model, path)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def save_keras_2(model, path):
    """Writes a file in the layout of Keras 2, by its format alone."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{v.name}:0" for v in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group.create_dataset(name, data=np.array(variable))


def save_parts(model, path):
    """Writes the index of two files, and these."""
    weights.save_file(model, path)
    tensors = load_file(path)
    for number, name in enumerate(PARTS):
        part = {k: tensors[k] for k in sorted(tensors)[number::2]}
        save_file(part, path.with_name(name))
    listed = {k: PARTS[i % 2] for i, k in enumerate(sorted(tensors))}
    path.write_text(json.dumps({"weight_map": listed}))


FORMATS = {
    "a.safetensors": weights.save_file,
    INDEX: save_parts,
    "a.weights.h5": keras.Model.save_weights,
    "a.h5": save_keras_2,
    "a.keras": keras.Model.save,
}
every_format = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture(scope="module")
def donor():
    return randomise(built.__wrapped__())


@pytest.fixture(scope="module")
def network():
    return randomise(built.__wrapped__(include_top=False, pooling="avg"))


@pytest.fixture
def path(tmp_path, donor):
    path = tmp_path / "donor.safetensors"
    weights.save_file(donor, path)
    return path


# All formats


@every_format
def test_a_file_is_read_whole_and_another_classifier_is_skipped(tmp_path, donor, name):
    FORMATS[name](donor, tmp_path / name)
    model = small()
    assert load(model, tmp_path / name) == []
    check(model, donor)
    for model in (small(classes=3), bare()):
        note = f"skipped the classifier 'fc' in {name}"
        assert load(model, tmp_path / name) == [note]
        check(model, donor, but_last=2)
    inputs = keras.Input(SHAPE)
    other = keras.Model(inputs, L.BatchNormalization()(L.Conv2D(3, 1)(inputs)))
    refused(tmp_path / name, "another network's weights?", model=other)


@every_format
@pytest.mark.parametrize("times", [25, pytest.param(300, marks=pytest.mark.campaign)])
def test_a_damaged_file_is_read_or_refused(tmp_path, donor, name, times):
    """Truncated, or with a few other bytes, most of them in its first or last part."""
    FORMATS[name](donor, tmp_path / name)
    rng, refusals = np.random.default_rng(0), []
    for _ in range(times):
        damaged = PARTS[0] if name == INDEX and rng.random() < 0.5 else name
        original = (tmp_path / damaged).read_bytes()
        places = [*rng.integers(-3000, 3000, 3), rng.integers(len(original))]
        content = bytearray(original)
        for place in rng.choice(places, rng.integers(3)):
            content[place % len(content)] = rng.integers(256)
        if rng.random() < 0.5:
            del content[rng.choice(places) % len(content) :]
        (tmp_path / damaged).write_bytes(content)
        try:
            load(built(), tmp_path / name)
        except errors.UsageError as error:
            refusals.append(str(error))
        else:  # There is no checksum: a changed number can't be noticed.
            assert all(np.isfinite(each).all() for each in built().get_weights())
        (tmp_path / damaged).write_bytes(original)
    assert len(refusals) > times // 5
    assert not any("\n" in refusal for refusal in refusals)


# PyTorch's names


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_are_converted(path, donor, dtype):
    tensors = {k: v.astype(dtype) for k, v in load_file(path).items()}
    save_file(tensors | {"bn1.num_batches_tracked": np.array(7)}, path)
    model = small()
    load(model, path)
    check(model, donor, dtype=dtype)


def test_old_names_of_densenets_are_understood(tmp_path):
    """As torchvision's files have them: `denselayer1.norm.1` for `norm1`."""
    names = [f"features_denselayer1_{x}" for x in ("norm1", "conv1", "norm2", "conv2")]
    inputs = keras.Input(SHAPE)
    x = L.Conv2D(3, 1, name=names[1])(L.BatchNormalization(name=names[0])(inputs))
    x = L.Conv2D(3, 1, name=names[3])(L.BatchNormalization(name=names[2])(x))
    donor = randomise(keras.Model(inputs, x))
    weights.save_file(donor, tmp_path / "a.safetensors")
    new = load_file(tmp_path / "a.safetensors")
    old = {re.sub(r"([mv])([12]\.)", r"\1.\2", name): new[name] for name in new}
    assert "features.denselayer1.conv.2.weight" in old
    save_file(old, tmp_path / "a.safetensors")
    model = keras.models.clone_model(donor)
    assert load(model, tmp_path / "a.safetensors") == []
    check(model, donor)


def write(path, *parts):
    """Writes tensors; each part is a prefix and what follows it."""
    save_file({prefix + k: v for prefix, part in parts for k, v in part.items()}, path)


def without_classifier(path):
    return {k: v for k, v in load_file(path).items() if not k.startswith("fc.")}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.backbone.", "student.0.trunk.", "fc."]
)
def test_any_prefix_of_all_tensors_is_taken_off_with_a_note(path, donor, prefix):
    tensors = load_file(path) | {"bn1.num_batches_tracked": np.array(7)}
    write(path, (prefix, tensors))
    model = small()
    note = f"took the prefix '{prefix}' off the tensors' names in {path.name}"
    assert load(model, path) == [note]
    check(model, donor)
    (_, skipped) = load(bare(), path)
    assert skipped == f"skipped the classifier '{prefix}fc' in {path.name}"


@pytest.mark.parametrize("head", ["head.", "fc.", "model.classifier.1.", "backbone2."])
def test_what_is_outside_of_the_prefix_is_skipped(path, donor, head):
    other = {"optimizer.state": np.ones(3, "f4")}
    write(path, ("backbone.", without_classifier(path)), (head, HEAD), ("", other))
    model = bare()
    (_, note) = load(model, path)
    assert note == f"skipped the classifier '{head[:-1]}' in {path.name}"
    check(model, donor)


def ones(*shape):
    return np.ones(shape, "f4")


BARE = {"fc.weight": None, "fc.bias": None}  # No classifier.
CONVOLUTIONS = {f"{x}.weight": ones(5, 128, 1, 1) for x in "ab"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bn1.running_var": None}, "lacks 'bn1.running_var'; does it hold another"),
        ({"fc.bias": None}, "lacks 'fc.bias'"),
        ({"bn1.bias": None, "bn1.scale": ones(32)}, "lacks 'bn1.bias'"),
        ({"x.y": ones(1)}, "unknown 'x.y'"),
        (
            BARE | {"fc.weight_v": ones(5, 64), "fc.weight_g": ones(5)},
            "lacks 'fc.bias'",
        ),
        ({"conv1.weight": ones(3, 3, 3, 32)}, "[3, 32, 3, 3], expected [3, 3, 3, 32]"),
        ({"fc.weight": ones(7, 64)}, "'fc.weight' has shape"),
        ({"bn1.bias": np.zeros(32, "i4")}, "int32. Allowed: float16"),
        ({"bn1.bias": np.full(32, 1e300)}, "'bn1.bias' has values that are not fin"),
        ({"bn1.weight": ones(32) * np.nan}, "'bn1.weight' has values that are not"),
        ({"bn1.running_var": -ones(32)}, "has negative variances"),
        # As of a network with squeeze-and-excitation, which is another one.
        ({f"layer1.{k}": v for k, v in HEAD.items()}, "unknown 'layer1.bias'"),
        (BARE | {"head.weight": ones(5, 128)}, "unknown 'head.weight'"),
        (BARE | {"head.weight": ones(5, 128), "head.bias": ones(6)}, "(and 1 more)"),
        (BARE | {"head.weight": ones(5, 128), "tail.bias": ones(5)}, "(and 1 more)"),
        (BARE | CONVOLUTIONS | {"a.bias": ones(5), "b.bias": ones(5)}, "(and 3 more)"),
    ],
)
def test_a_wrong_tensor_is_named(path, changes, words):
    tensors = {k: v for k, v in (load_file(path) | changes).items() if v is not None}
    save_file(tensors, path)
    has_head = any(name.startswith("fc.") for name in tensors)
    refused(path, words, model=small() if has_head else bare())


def test_files_without_one_network_are_refused(path):
    tensors = load_file(path)
    write(path, ("model.", tensors), ("ema.", tensors))
    refused(path, "2 times", "'ema.', 'model.'")
    halves = [{k: tensors[k] for k in sorted(tensors)[i::2]} for i in (0, 1)]
    write(path, ("module.", halves[0]), ("", halves[1]))
    refused(path, "lacks")


# Keras's layouts


@pytest.mark.parametrize("layout", ["a.weights.h5", "a.h5"])
def test_the_layout_of_an_hdf5_file_is_told_by_its_content(tmp_path, donor, layout):
    FORMATS[layout](donor, tmp_path / layout)
    for name in ("A.WEIGHTS.H5", "a.hdf5"):
        path = (tmp_path / layout).rename(tmp_path / name)
        model = small()
        assert load(model, path) == []
        check(model, donor)
        path.rename(tmp_path / layout)


def variety():
    """Returns a network of all kinds of layers that Keras Applications have.

    Keras numbers their names on and on, so that files must be matched by order.
    """
    inputs = keras.Input(SHAPE)
    x = L.SeparableConv2D(4, 1)(L.DepthwiseConv2D(1)(L.Conv2D(4, 1)(inputs)))
    for _ in range(11):
        x = L.BatchNormalization()(x)
    # ConvNeXts downsample in a model within the model.
    x = keras.Sequential([L.LayerNormalization(), L.Conv2D(4, 2)])(x)
    return keras.Model(inputs, L.Dense(4)(L.PReLU()(x)))


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_networks_of_keras_applications_are_read(tmp_path, name):
    top = randomise(mobilenet(include_top=True, classes=5))
    FORMATS[name](top, tmp_path / name)
    model = mobilenet(include_top=False, pooling="avg")
    note = f"skipped the classifier 'conv_preds' in {name}"
    assert load(model, tmp_path / name) == [note]
    check(model, top)
    wide = mobilenet(0.5, include_top=False, pooling="avg")
    refused(tmp_path / name, "[3, 3, 3, 8], expected [3, 3, 3, 16]", model=wide)
    donor = randomise(variety())
    FORMATS[name](donor, tmp_path / name)
    model = keras.models.clone_model(donor) if name == "a.h5" else variety()
    assert load(model, tmp_path / name) == []
    check(model, donor)


def test_variables_of_bfloat16_are_read(tmp_path):
    """HDF5 has no such type, so Keras marks them."""
    inputs = keras.Input(SHAPE)
    donor = keras.Model(inputs, L.Conv2D(3, 3, dtype="bfloat16")(inputs))
    donor.save_weights(tmp_path / "a.weights.h5")
    model = keras.Model(inputs, L.Conv2D(3, 3)(inputs))
    assert load(model, tmp_path / "a.weights.h5") == []
    check(model, donor)


# Networks inside Keras models


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_runs_model_gives_the_next_run_its_backbone(tmp_path, order):
    """Channels are flipped by a dense layer before the backbone."""
    network = backbones.resolve("cifar_resnet8", "none")
    layer = normalization.normalization_layer(normalization.IMAGENET, SHAPE, order)
    saved = build_classifier(network, layer, Task(SHAPE, 4), seed=1)
    saved.save(tmp_path / "model.keras")
    notes = []
    network = backbones.resolve("cifar_resnet8", str(tmp_path))  # A run's folder.
    assert network.path == tmp_path / "model.keras"
    model = network.build(SHAPE, notes.append)
    assert notes == ["skipped the classifier 'head' in model.keras"]
    check(model, saved.get_layer("cifar_resnet8"))


def exported(inputs, network):
    """As in an export, which adds layers to a run's model, or under a nested head."""
    head = [L.Dense(7, name="hidden"), L.Dropout(0.5), L.Dense(3, name="top")]
    return keras.Sequential(
        [keras.Model(inputs, network(inputs)), keras.Sequential(head), L.Softmax()]
    )


def with_code(inputs, network):
    x = network(L.Lambda(lambda pixels: pixels / 255)(inputs))
    return keras.Model(inputs, L.Dense(3, name="top")(L.Dense(7, name="hidden")(x)))


def flat(inputs, network):
    hidden = L.Dense(7, name="hidden")(network.output)
    return keras.Model(network.input, L.Dense(3, name="top")(hidden))


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5"])
@pytest.mark.parametrize("outer", [exported, with_code, flat])
def test_a_network_is_found_at_any_depth(tmp_path, network, outer, name):
    saved = outer(keras.Input(SHAPE), network)
    saved.build((None, *SHAPE))
    saved.compile("adam", "mse")  # The file has the optimizer's variables as well.
    FORMATS[name](saved, tmp_path / name)
    model = bare()
    (note,) = load(model, tmp_path / name)
    assert note == f"skipped the classifier 'hidden' and 'top' in {name}"
    check(model, network)


def test_two_networks_in_one_file_are_refused(tmp_path, network):
    again = keras.Model.from_config({**network.get_config(), "name": "again"})
    inputs = keras.Input(SHAPE)
    both = keras.Model(inputs, network(inputs) + again(inputs))
    both.save(tmp_path / "a.keras")
    refused(tmp_path / "a.keras", "2 times", "'layers/functional/'", model=bare())


# Paths


@pytest.mark.parametrize("name", ["model.keras", "model.safetensors"])
def test_a_folder_means_the_weights_in_it(tmp_path, name):
    for other in (name, "config.json", "pytorch_model.bin"):
        (tmp_path / other).touch()
    assert weights.locate(tmp_path) == tmp_path / name


def test_an_index_means_the_files_beside_it(tmp_path, donor):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_parts(donor, folder / INDEX)
    for name in (INDEX, "", *PARTS):
        assert weights.locate(folder / name) == folder / INDEX
    command = "sha256sum model-*-of-*.safetensors | sha256sum"  # See docs/models.md.
    printed = subprocess.check_output(command, shell=True, cwd=folder, text=True)
    assert weights.sha256(folder / INDEX) == printed.split()[0]
    weights.save_file(donor, tmp_path / "a.safetensors")
    whole = (folder / INDEX).read_text()
    for name in ("../a.safetensors", "/a.safetensors", "..", "", 7):
        listed = json.loads(whole)["weight_map"] | {"bn1.bias": name}
        (folder / INDEX).write_text(json.dumps({"weight_map": listed}))
        with pytest.raises(errors.UsageError):
            load(small(), folder / INDEX)
    (folder / INDEX).write_text("{}")
    refused(folder / INDEX, "weight_map")
    (folder / INDEX).write_text(whole)
    (folder / PARTS[1]).unlink()
    with pytest.raises(errors.UsageError, match=PARTS[1]):
        weights.sha256(folder / INDEX)
    refused(folder / INDEX, PARTS[1])


def test_a_digest_is_the_sha256_of_the_file_as_it_is_now(path):
    for content in (b"one", b"another"):
        path.write_bytes(content)
        for _ in range(2):
            assert weights.sha256(path) == hashlib.sha256(content).hexdigest()
