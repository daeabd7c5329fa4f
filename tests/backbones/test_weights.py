"""Weights files: every format is read whole, or refused in one line."""

import functools
import hashlib
import json
import re
import subprocess

import h5py
import huggingface_hub
import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors, normalization
from normtest_tf.backbones import timm_layout, weights
from normtest_tf.system import files
from normtest_tf.training.classifier import Task, build_classifier

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


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def load(model, path):
    """Loads a weights file and returns the notes."""
    notes = []
    weights.load_file(model, path, notes.append)
    return notes


def refused(path, *words, model=None):
    model = model or small()
    before = model.get_weights()
    with pytest.raises(errors.UsageError) as caught:
        load(model, path)
    assert "\n" not in str(caught.value)
    for word in (str(path), *words):
        assert word in str(caught.value)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def save_keras_2(model, path, skip=()):
    """Writes a file in the layout of Keras 2, by its format alone."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.name not in skip]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{v.name}:0" for v in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group.create_dataset(name, data=np.array(variable))


def save_parts(model, path):
    """Writes the index of two files, and these."""
    whole = path.with_name("whole")
    timm_layout.save(model, whole)
    tensors = load_file(whole)
    whole.unlink()
    for number, name in enumerate(PARTS):
        part = {k: tensors[k] for k in sorted(tensors)[number::2]}
        save_file(part, path.with_name(name))
    listed = {k: PARTS[i % 2] for i, k in enumerate(sorted(tensors))}
    path.write_text(json.dumps({"weight_map": listed}))


FORMATS = {
    "a.safetensors": timm_layout.save,
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
    timm_layout.save(donor, path)
    return path


# All formats


@every_format
def test_a_file_is_read_whole_and_another_classifier_is_skipped(tmp_path, donor, name):
    path = tmp_path / name
    FORMATS[name](donor, path)
    model = small()
    assert load(model, path) == []
    assert same_weights(model, donor)
    for other in (small(classes=3), bare()):
        assert load(other, path) == [f"skipped the classifier 'fc' in {name}"]
        expected = donor.get_weights()[:-2]
        for ours, theirs in zip(other.get_weights(), expected, strict=False):
            np.testing.assert_array_equal(ours, theirs)


@every_format
@pytest.mark.parametrize(
    ("layer", "attribute", "value", "words"),
    [
        ("bn1", "gamma", np.nan, "not finite"),
        ("bn1", "beta", -np.inf, "not finite"),
        ("layer2_0_bn1", "moving_variance", -1, "variance of 'layer2_0_bn1'"),
    ],
)
def test_values_that_can_not_be_used_are_refused(
    tmp_path, name, layer, attribute, value, words
):
    broken = randomise(built.__wrapped__())
    variable = getattr(broken.get_layer(layer), attribute)
    variable.assign(np.full(variable.shape, value))
    FORMATS[name](broken, tmp_path / name)
    with pytest.raises(errors.UsageError, match=words):
        load(small(), tmp_path / name)


@every_format
def test_another_network_is_refused(tmp_path, donor, name):
    FORMATS[name](donor, tmp_path / name)
    model = backbones.ResNet18(weights=None, input_shape=SHAPE)
    refused(tmp_path / name, "another network's weights?", model=model)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory, donor):
    folder = tmp_path_factory.mktemp("files")
    for name, save in FORMATS.items():
        save(donor, folder / name)
    return folder


@every_format
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(whole_files, donor, name, data):
    """Truncated, or with a few other bytes, most of them in its first or last part."""
    damaged = PARTS[0] if name == INDEX and data.draw(st.booleans()) else name
    content = bytearray((whole_files / damaged).read_bytes())
    ends = st.integers(-3000, 3000).map(lambda at: at % len(content))
    places = st.one_of(ends, st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[data.draw(places) :]
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(places) % len(content)] = data.draw(st.integers(0, 255))
    original = (whole_files / damaged).read_bytes()
    (whole_files / damaged).write_bytes(content)
    try:
        load(built(), whole_files / name)
    except errors.UsageError:
        pass
    finally:
        (whole_files / damaged).write_bytes(original)


# PyTorch's names


def test_a_file_has_pytorchs_layout(path):
    tensors = load_file(path)
    assert tensors["layer2.0.conv1.weight"].shape == (64, 32, 3, 3)
    assert tensors["fc.weight"].shape == (10, 128)
    assert tensors["layer2.0.downsample.1.running_var"].shape == (64,)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_are_converted(path, donor, dtype):
    tensors = {k: v.astype(dtype) for k, v in load_file(path).items()}
    save_file(tensors | {"bn1.num_batches_tracked": np.array(7)}, path)
    model = small()
    load(model, path)
    for ours, theirs in zip(model.get_weights(), donor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs.astype(dtype).astype("float32"))


def test_old_names_of_densenets_are_understood(tmp_path):
    """As torchvision's files have them: `denselayer1.norm.1` for `norm1`."""
    names = [f"features_denselayer1_{x}" for x in ("norm1", "conv1", "norm2", "conv2")]
    inputs = keras.Input(SHAPE)
    x = L.Conv2D(3, 1, name=names[1])(L.BatchNormalization(name=names[0])(inputs))
    x = L.Conv2D(3, 1, name=names[3])(L.BatchNormalization(name=names[2])(x))
    model = randomise(keras.Model(inputs, x))
    timm_layout.save(model, tmp_path / "a.safetensors")
    new = load_file(tmp_path / "a.safetensors")
    old = {re.sub(r"([mv])([12]\.)", r"\1.\2", name): new[name] for name in new}
    assert "features.denselayer1.conv.2.weight" in old
    save_file(old, tmp_path / "a.safetensors")
    before = model.get_weights()
    assert load(randomise(model, seed=1), tmp_path / "a.safetensors") == []
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("bn1.running_var"), ["lacks", "bn1.running_var"]),
        (lambda t: t.pop("fc.bias"), ["lacks", "fc.bias"]),
        (lambda t: t.update({"bn1.scale": t.pop("bn1.weight")}), ["bn1.weight"]),
        (lambda t: t.update({"x.y": np.zeros(1, "f4")}), ["unknown", "x.y"]),
        (
            lambda t: t.update({"conv1.weight": np.ones((3, 3, 3, 32), "f4")}),
            ["conv1.weight", "shape [3, 32, 3, 3], expected [3, 3, 3, 32]"],
        ),
        (lambda t: t.update({"fc.weight": np.zeros((7, 64), "f4")}), ["fc.weight"]),
        (lambda t: t.update({"bn1.bias": np.zeros(32, "i4")}), ["int32", "float16"]),
        (lambda t: t.update({"bn1.bias": np.full(32, 1e300)}), ["not finite"]),
        # As of a network with squeeze-and-excitation, which is another one.
        (
            lambda t: t.update({f"layer1.0.se.{k}": v for k, v in HEAD.items()}),
            ["unknown 'layer1.0.se.bias'"],
        ),
    ],
)
def test_a_wrong_tensor_is_named(path, change, words):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    refused(path, *words)


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
    note = f"took the prefix '{prefix}' off the names of the tensors in {path.name}"
    assert load(model, path) == [note]
    assert same_weights(model, donor)
    (_, skipped) = load(bare(), path)
    assert skipped == f"skipped the classifier '{prefix}fc' in {path.name}"


@pytest.mark.parametrize("head", ["head.", "fc.", "model.classifier.1.", "backbone2."])
def test_what_is_outside_of_the_prefix_is_skipped(path, donor, head):
    other = {"optimizer.state": np.ones(3, "f4")}
    write(path, ("backbone.", without_classifier(path)), (head, HEAD), ("", other))
    model = bare()
    (_, note) = load(model, path)
    assert note == f"skipped the classifier '{head[:-1]}' in {path.name}"
    for ours, theirs in zip(model.get_weights(), donor.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "extra",
    [
        {"head.weight": HEAD["weight"]},
        {"head.weight": HEAD["weight"], "head.bias": np.ones(6, "f4")},
        {"head.weight": HEAD["weight"], "tail.bias": HEAD["bias"]},
        {"optimizer.state": np.ones(3, "f4")},
        {
            f"{n}.{k}": v.reshape(*v.shape, *[1] * (2 * v.ndim - 2))
            for n in "ab"
            for k, v in HEAD.items()
        },
    ],
)
def test_other_tensors_are_refused(path, extra):
    write(path, ("", without_classifier(path)), ("", extra))
    refused(path, "unknown", min(extra), model=bare())


def test_files_without_one_network_are_refused(path):
    tensors = load_file(path)
    write(path, ("model.", tensors), ("ema.", tensors))
    refused(path, "2 times", "'ema.', 'model.'")
    halves = [{k: tensors[k] for k in sorted(tensors)[i::2]} for i in (0, 1)]
    write(path, ("module.", halves[0]), ("", halves[1]))
    refused(path, "lacks")
    del tensors["bn1.bias"]
    write(path, ("module.", tensors))
    refused(path, "lacks 'module.bn1.bias';")


# Keras's layouts


@pytest.mark.parametrize("name", ["A.WEIGHTS.H5", "a.hdf5"])
def test_the_layout_of_an_hdf5_file_is_told_by_its_content(tmp_path, donor, name):
    for save in (FORMATS["a.weights.h5"], FORMATS["a.h5"]):
        save(donor, tmp_path / "a.weights.h5")
        (tmp_path / "a.weights.h5").rename(tmp_path / name)
        model = small()
        assert load(model, tmp_path / name) == []
        assert same_weights(model, donor)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_networks_of_keras_applications_are_read(tmp_path, name):
    top = randomise(mobilenet(include_top=True, classes=5))
    FORMATS[name](top, tmp_path / name)
    model = mobilenet(include_top=False, pooling="avg")
    note = f"skipped the classifier 'conv_preds' in {name}"
    assert load(model, tmp_path / name) == [note]
    for ours, theirs in zip(model.get_weights(), top.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)
    wide = mobilenet(0.5, include_top=False, pooling="avg")
    refused(tmp_path / name, "[3, 3, 3, 8], expected [3, 3, 3, 16]", model=wide)


def unnamed():
    """Returns a network whose layers' names Keras makes up, numbered on and on."""
    inputs = x = keras.Input(SHAPE)
    for _ in range(12):
        x = L.Conv2D(3, 1, use_bias=False)(x)
        x = L.BatchNormalization()(x)
    return keras.Model(inputs, L.GlobalAveragePooling2D()(x))


def test_names_that_keras_made_up_are_matched_by_their_order(tmp_path):
    """Otherwise InceptionV3 and Xception fit only in a process like the first one."""
    donor = randomise(unnamed())
    donor.save(tmp_path / "a.keras")
    model = unnamed()
    load(model, tmp_path / "a.keras")
    assert same_weights(model, donor)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_variables_are_named_as_keras_names_them(tmp_path, name):
    """For each kind of layer in the networks of Keras Applications."""
    inputs = keras.Input(SHAPE)
    x = L.SeparableConv2D(4, 1)(L.DepthwiseConv2D(1)(L.Conv2D(4, 1)(inputs)))
    x = L.LayerNormalization()(L.BatchNormalization()(x))
    # ConvNeXts downsample in a model within the model.
    x = keras.Sequential([L.LayerNormalization(), L.Conv2D(4, 2)])(x)
    donor = randomise(keras.Model(inputs, L.Dense(4)(L.PReLU()(x))))
    FORMATS[name](donor, tmp_path / name)
    model = keras.Model.from_config(donor.get_config())
    assert load(model, tmp_path / name) == []
    assert same_weights(model, donor)


def test_variables_of_bfloat16_are_read(tmp_path):
    """HDF5 has no such type, so Keras marks them."""
    try:
        keras.config.set_dtype_policy("bfloat16")
        donor = built.__wrapped__()
    finally:
        keras.config.set_dtype_policy("float32")
    donor.save_weights(tmp_path / "a.weights.h5")
    model = small()
    assert load(model, tmp_path / "a.weights.h5") == []
    for ours, theirs in zip(model.get_weights(), donor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs.astype("float32"))


# Networks inside Keras models


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("cifar_resnet8", "finetune"),
        ("cifar_resnet8", "instance"),
    ],
)
def test_a_runs_model_gives_the_next_run_its_backbone(tmp_path, name, setting):
    network = backbones.resolve(name, "none")
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    chosen = normalization.get(setting)
    statistics = chosen.statistics(images, network.pretraining.statistics)
    layer = chosen.layer(statistics, SHAPE, network.pretraining.channel_order)
    saved = build_classifier(network, layer, Task(SHAPE, 4), seed=1)
    saved.save(tmp_path / "model.keras")
    notes = []
    network = backbones.resolve(name, str(tmp_path))  # The folder of a run.
    assert network.path == tmp_path / "model.keras"
    model = network.build(SHAPE, notes.append)
    assert notes == ["skipped the classifier 'head' in model.keras"]
    inner = next(one for one in reversed(saved.layers) if hasattr(one, "layers"))
    assert same_weights(model, inner)


def test_a_run_on_bgr_images_gives_its_backbone(tmp_path, network):
    """Its channels are flipped by a dense layer before the backbone."""
    inputs = keras.Input(SHAPE, dtype="uint8")
    layer = normalization.normalization_layer(normalization.IMAGENET, SHAPE, "bgr")
    outputs = L.Dense(3, name="head")(network(layer(inputs)))
    keras.Model(inputs, outputs).save(tmp_path / "a.keras")
    model = bare()
    assert load(model, tmp_path / "a.keras") == [
        "skipped the classifier 'head' in a.keras"
    ]
    assert same_weights(model, network)


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5"])
def test_a_network_is_found_at_any_depth(tmp_path, network, name):
    """As in an export, which adds layers to a run's model, or under a nested head."""
    network.trainable = False
    inputs = keras.Input(SHAPE)
    head = [L.Dense(7, name="hidden"), L.Dropout(0.5), L.Dense(3, name="top")]
    outer = keras.Sequential(
        [keras.Model(inputs, network(inputs)), keras.Sequential(head), L.Softmax()]
    )
    outer.build((None, *SHAPE))
    outer.compile("adam", "mse")  # The file has the optimizer's variables as well.
    FORMATS[name](outer, tmp_path / name)
    model = bare()
    (note,) = load(model, tmp_path / name)
    assert note == f"skipped the classifier 'hidden' and 'top' in {name}"
    assert same_weights(model, network)


def test_dense_layers_in_the_same_graph_are_skipped(tmp_path, network):
    hidden = L.Dense(7, name="hidden")(network.output)
    flat = keras.Model(network.input, L.Dense(3, name="top")(hidden))
    flat.save(tmp_path / "a.keras")
    model = bare()
    (note,) = load(model, tmp_path / "a.keras")
    assert note == "skipped the classifier 'hidden' and 'top' in a.keras"
    assert same_weights(model, network)


def test_two_networks_in_one_file_are_refused(tmp_path, network):
    again = keras.Model.from_config({**network.get_config(), "name": "again"})
    inputs = keras.Input(SHAPE)
    both = keras.Model(inputs, network(inputs) + again(inputs))
    both.save(tmp_path / "a.keras")
    refused(tmp_path / "a.keras", "2 times", "'layers/functional/'", model=bare())


def test_code_in_a_file_is_not_run(tmp_path, network):
    inputs = keras.Input(SHAPE)
    code = L.Lambda(lambda pixels: pixels / 255)
    keras.Model(inputs, network(code(inputs))).save(tmp_path / "a.keras")
    model = bare()
    load(model, tmp_path / "a.keras")
    assert same_weights(model, network)


# Paths


def refusal(path):
    with pytest.raises(errors.UsageError) as caught:
        weights.locate(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_path_means_a_file_or_nothing(path):
    assert weights.locate(path) == path
    for name in ("other.safetensors", "a" * 5000, "a\0b"):
        assert weights.locate(path.with_name(name)) is None


def test_an_index_its_folder_and_its_files_mean_the_index(tmp_path, donor):
    save_parts(donor, tmp_path / INDEX)
    for name in (INDEX, "", *PARTS):
        assert weights.locate(tmp_path / name) == tmp_path / INDEX


@pytest.mark.parametrize("name", ["model.keras", "model.safetensors"])
def test_a_folder_means_the_weights_in_it(tmp_path, name):
    for other in (name, "config.json", "pytorch_model.bin"):
        (tmp_path / other).touch()
    assert weights.locate(tmp_path) == tmp_path / name


def test_what_is_no_weights_file_is_refused(tmp_path):
    assert "holds no weights. Allowed: the path of a file" in refusal(tmp_path)
    for name in ("model.keras", "model.safetensors"):
        (tmp_path / name).touch()
    assert "holds model.keras and model.safetensors" in refusal(tmp_path)
    for name in ("a.pth", "a.PT", "pytorch_model.bin", "a.ckpt", "a.pth.tar"):
        (tmp_path / name).touch()
        message = refusal(tmp_path / name)
        assert "is a pickle of PyTorch, which can run code" in message
        assert "safetensors.torch.save_file" in message
    (tmp_path / "a.onnx").touch()
    assert "does not look like a weights file" in refusal(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["../a.safetensors", "/a.safetensors", "..", "", 7])
def test_an_index_names_files_beside_it(tmp_path, donor, name):
    path = tmp_path / "folder" / INDEX
    path.parent.mkdir()
    save_parts(donor, path)
    timm_layout.save(donor, tmp_path / "a.safetensors")
    listed = json.loads(path.read_text())["weight_map"]
    path.write_text(json.dumps({"weight_map": listed | {"bn1.bias": name}}))
    with pytest.raises(errors.UsageError):
        load(small(), path)
    path.write_text("{}")
    refused(path, "weight_map")


def test_a_missing_file_is_named(tmp_path, donor):
    save_parts(donor, tmp_path / INDEX)
    (tmp_path / PARTS[1]).unlink()
    with pytest.raises(errors.UsageError, match=PARTS[1]):
        weights.sha256(tmp_path / INDEX)
    refused(tmp_path / INDEX, PARTS[1])
    (tmp_path / INDEX).unlink()
    with pytest.raises(errors.UsageError, match=INDEX):
        weights.sha256(weights.locate(tmp_path / PARTS[0]))


def test_a_digest_is_the_sha256_of_the_file_as_it_is_now(path):
    for content in (b"one", b"another"):
        path.write_bytes(content)
        for _ in range(2):
            assert weights.sha256(path) == hashlib.sha256(content).hexdigest()


def test_the_digest_of_an_index_can_be_checked_without_this_package(tmp_path, donor):
    save_parts(donor, tmp_path / INDEX)
    command = "sha256sum model-*-of-*.safetensors | sha256sum"
    printed = subprocess.run(
        command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert weights.sha256(tmp_path / INDEX) == printed.split()[0]


# Downloads


@pytest.mark.parametrize(
    "error", [OSError("no route"), TypeError("odd"), RuntimeError("ReadTimeout")]
)
def test_a_tag_that_cannot_be_downloaded_is_one_clear_error(monkeypatch, error):
    """The Hub's client raises errors of its transport, which derive from nothing."""

    def hub(repository, name, local_files_only=False):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    for problem, reason in ((None, error), ("no answer", "no answer")):
        monkeypatch.setattr(files, "host_problem", lambda url, found=problem: found)
        words = rf"resnet18\.tv_in1k from timm/.*{reason}.*--weights=PATH"
        with pytest.raises(errors.UsageError, match=words):
            backbones.resolve("resnet18").fetch()


def test_a_cached_tag_is_used_offline(monkeypatch):
    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = backbones.resolve("resnet18", "a1_in1k").fetch()
    assert path.name == "cached.safetensors"


def test_a_failed_download_of_keras_is_one_clear_error(monkeypatch):
    def vgg16(**_):
        raise Exception("URL fetch failure") from OSError("no route to host")

    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    with pytest.raises(
        errors.UsageError, match=r"vgg16\.imagenet from Keras's.*no route to host"
    ):
        backbones.resolve("keras_vgg16").build(SHAPE)
