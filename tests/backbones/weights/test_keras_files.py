"""The network inside a `.keras` file."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

from normtest_tf import backbones, normalization
from normtest_tf.training.classifier import Task, build_classifier
from tests.backbones.weights.helpers import (
    load,
    randomise,
    refused,
    same_weights,
    small,
)

SHAPE = (32, 32, 3)


def bare(**options):
    """Returns the network as runs use it."""
    return small(include_top=False, pooling="avg", input_shape=SHAPE, **options)


@pytest.fixture(scope="module")
def network():
    return randomise(bare())


def run_model(name, setting):
    """Returns a model as a run saves it, with random weights."""
    network = backbones.resolve(name, "none")
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    chosen = normalization.get(setting)
    statistics = chosen.statistics(images, network.pretraining.statistics)
    layer = chosen.layer(statistics, SHAPE, network.pretraining.channel_order)
    return randomise(build_classifier(network, layer, Task(SHAPE, 4), seed=1))


def backbone_of(model):
    return next(layer for layer in reversed(model.layers) if hasattr(layer, "layers"))


def classifier(*backbones_, before=(), after=(3,)):
    """Returns a model around networks, with dense layers of these sizes after them."""
    inputs = x = keras.Input(SHAPE)
    for layer in before:
        x = layer(x)
    outputs = [backbone(x) for backbone in backbones_]
    x = keras.layers.Concatenate()(outputs) if len(outputs) > 1 else outputs[0]
    for size in after:
        x = keras.layers.Dense(size)(x)
    return keras.Model(inputs, x)


def rewrite(path, **members):
    """Replaces members of an archive; their names have `_` for dots."""
    copy = path.with_suffix(".zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            change = members.get(name.replace(".", "_"), lambda content: content)
            new.writestr(name, change(old.read(name)))
    shutil.move(copy, path)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("cifar_resnet8", "finetune"),
        ("cifar_resnet8", "instance"),
        ("keras_mobilenet_025", "pretrain"),
    ],
)
def test_a_runs_model_gives_the_next_run_its_backbone(tmp_path, name, setting):
    saved = run_model(name, setting)
    saved.save(tmp_path / "model.keras")
    notes = []
    network = backbones.resolve(name, str(tmp_path / "model.keras"))
    model = network.build(SHAPE, notes.append)
    assert notes == ["skipped the classifier 'head' in model.keras"]
    pixels = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")
    np.testing.assert_array_equal(model(pixels), backbone_of(saved)(pixels))


def test_a_run_on_bgr_images_gives_its_backbone(tmp_path):
    """Its channels are flipped by a dense layer before the backbone."""
    inputs = keras.Input(SHAPE, dtype="uint8")
    layer = normalization.normalization_layer(normalization.IMAGENET, SHAPE, "bgr")
    donor = randomise(bare())
    head = keras.layers.Dense(3, name="head")
    keras.Model(inputs, head(donor(layer(inputs)))).save(tmp_path / "a.keras")
    model = bare()
    assert load(model, tmp_path / "a.keras") == [
        "skipped the classifier 'head' in a.keras"
    ]
    assert same_weights(model, donor)


def test_the_network_alone_is_read_whole(tmp_path, network, donor):
    network.save(tmp_path / "a.keras")
    model = bare()
    assert load(model, tmp_path / "a.keras") == []
    assert same_weights(model, network)
    donor.save(tmp_path / "top.keras")
    path = (tmp_path / "top.keras").rename(tmp_path / "Top.KERAS")
    model = small()
    assert load(model, path) == []
    assert same_weights(model, donor)
    assert load(bare(), path) == ["skipped the classifier 'fc' in Top.KERAS"]


def unnamed():
    """Returns a network whose layers' names Keras makes up, numbered on and on."""
    inputs = x = keras.Input(SHAPE)
    for _ in range(12):
        x = keras.layers.Conv2D(3, 1, use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def test_names_that_keras_made_up_are_matched_by_their_order(tmp_path):
    """Otherwise InceptionV3 and Xception fit only in a process like the first one."""
    donor = randomise(unnamed())
    classifier(donor).save(tmp_path / "a.keras")
    model = unnamed()
    assert not {layer.name for layer in model.layers} & {
        layer.name for layer in donor.layers
    }
    load(model, tmp_path / "a.keras")
    assert same_weights(model, donor)


def test_a_frozen_network_is_read(tmp_path, network):
    donor = bare()
    donor.set_weights(network.get_weights())
    donor.trainable = False
    classifier(donor).save(tmp_path / "a.keras")
    model = bare()
    load(model, tmp_path / "a.keras")
    assert same_weights(model, donor)
    assert model.trainable_weights


def test_dense_layers_in_the_same_graph_are_skipped(tmp_path, network):
    hidden = keras.layers.Dense(7, name="hidden")(network.output)
    flat = keras.Model(network.input, keras.layers.Dense(3, name="top")(hidden))
    flat.save(tmp_path / "a.keras")
    model = bare()
    (note,) = load(model, tmp_path / "a.keras")
    assert note == "skipped the classifier 'hidden' and 'top' in a.keras"
    assert same_weights(model, network)


def test_a_network_is_found_at_any_depth(tmp_path, network):
    """As in an export, which adds layers to a run's model, or under a nested head."""
    head = [keras.layers.Dense(7, name="hidden"), keras.layers.Dense(3, name="top")]
    inner = classifier(network, after=())
    outer = keras.Sequential(
        [inner, keras.Sequential(head, name="head"), keras.layers.Softmax()]
    )
    outer.build((None, *SHAPE))
    outer.save(tmp_path / "a.keras")
    model = bare()
    (note,) = load(model, tmp_path / "a.keras")
    assert note == "skipped the classifier 'hidden' and 'top' in a.keras"
    assert same_weights(model, network)


def test_two_networks_in_one_file_are_refused(tmp_path, network):
    again = keras.Model.from_config({**network.get_config(), "name": "again"})
    classifier(network, again).save(tmp_path / "a.keras")
    refused(tmp_path / "a.keras", "2 times", "'cifar_resnet8', 'again'", model=bare())


def test_another_network_is_refused_by_its_layers(tmp_path):
    path = tmp_path / "a.keras"
    options = {"weights": None, "input_shape": SHAPE, "include_top": False}
    resnet = backbones.ResNet18(**options, pooling="avg")
    classifier(resnet).save(path)
    refused(path, "unknown layer 'layer1_1_bn1'", model=bare())
    classifier(bare()).save(path)
    refused(path, "lacks layer 'layer1_1_bn1'", "another network", model=resnet)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    refused(path, "lacks layer 'bn1'", model=bare())


def test_another_width_is_refused_by_its_shapes(tmp_path):
    options = {"weights": None, "input_shape": SHAPE, "include_top": False}
    wide = keras.applications.MobileNet(alpha=0.5, **options)
    wide.save(tmp_path / "a.keras")
    narrow = keras.applications.MobileNet(alpha=0.25, **options)
    words = ["weight 0 of layer 'conv1'", "[3, 3, 3, 16], expected [3, 3, 3, 8]"]
    refused(tmp_path / "a.keras", *words, model=narrow)


def test_a_network_with_values_that_are_not_finite_is_refused(tmp_path):
    donor = bare()
    donor.get_layer("bn1").gamma.assign(np.full(32, np.nan))
    donor.save(tmp_path / "a.keras")
    refused(tmp_path / "a.keras", "weight 0 of layer 'bn1'", "not finite", model=bare())


def test_code_is_refused_and_not_run(tmp_path, network, monkeypatch):
    path = tmp_path / "a.keras"
    code = keras.layers.Lambda(lambda pixels: pixels / 255)
    classifier(network, before=[code]).save(path)
    monkeypatch.setattr(keras.models, "load_model", None)
    refused(path, "holds code, in a Lambda layer", model=bare())


def test_hidden_code_is_refused_by_keras(tmp_path, network):
    path = tmp_path / "a.keras"
    code = keras.layers.Lambda(lambda pixels: pixels / 255)
    classifier(network, before=[code]).save(path)
    names = [(b'"Lambda"', rb'"\u004cambda"'), (b'"__lambda__"', rb'"\u005f_lambda__"')]

    def hide(config):
        for name, escaped in names:
            config = config.replace(name, escaped)
        return config

    rewrite(path, config_json=hide)
    refused(path, "can't load", "lambda", model=bare())


def test_classes_that_are_not_keras_s_own_are_refused(tmp_path, network):
    path = tmp_path / "a.keras"
    network.save(path)

    def foreign(config):
        return config.replace(b'"BatchNormalization"', b'"Mine"')

    rewrite(path, config_json=foreign)
    refused(path, "can't load", f"Keras {keras.__version__}", "Mine", model=bare())


def test_a_model_of_keras_2_is_refused(tmp_path, network):
    path = tmp_path / "a.keras"
    network.save(path)
    version = json.dumps({"keras_version": "2.15.0"}).encode()
    rewrite(path, metadata_json=lambda content: version)
    refused(path, "saved by Keras 2.15.0", "to a .h5 file", model=bare())


def test_damaged_files_are_refused(tmp_path, network):
    path = tmp_path / "a.keras"
    network.save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (bytes(flipped), whole[:-10], whole[: len(whole) // 2], whole[:50]):
        path.write_bytes(content)
        refused(path, "not a complete .keras file", "again", model=bare())
    path.write_bytes(whole)
    rewrite(path, metadata_json=lambda content: b"[]")
    refused(path, "not a complete .keras file", model=bare())
    path.write_bytes(whole)
    rewrite(path, model_weights_h5=lambda content: content[:1000])
    refused(path, "not a complete .keras file", "copy or save it", model=bare())


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", json.dumps(layer_config()))
    refused(path, "lacks model.weights.h5; copy or save it again", model=bare())


def layer_config():
    return keras.saving.serialize_keras_object(keras.layers.Dense(3))
