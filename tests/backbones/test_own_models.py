"""What --model=PATH.keras accepts, and the backbone that a run gets from it."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.backbones import own_models
from normtest_tf.export import writers
from normtest_tf.normalization import IMAGENET
from normtest_tf.training import training_copy
from tests.helpers import programs

SHAPE = (16, 16, 3)
L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, *SHAPE)).astype("float32")
# What TensorFlow requires of a scope's name.
LEGAL = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def layer(kind, module="keras.layers", registered=None, **config):
    names = {"module": module, "class_name": kind, "registered_name": registered}
    return names | {"config": {"name": kind.lower()} | config}


def model(*layers, name="net", module="keras"):
    return layer("Functional", module, "Functional", name=name, layers=list(layers))


IMAGE = layer("InputLayer", batch_shape=[None, 32, 32, 3])
OF_A_RUN = [layer("Any", name=name) for name in ("image", "normalization", "head")]


def write(path, config, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in {"config": config, **members}.items():
            archive.writestr(f"{name}.json", json.dumps(value))
    return path


def refusal(path):
    with pytest.raises(errors.UsageError) as caught:
        backbones.resolve(str(path), None, IMAGENET)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is known of a file without Keras


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", "resnet18"),
        ("net.keras", "file-net"),
        ("/data/a=b,c/my net.v2.KERAS", "file-my_net.v2"),
        ("C:\\nets\\one.keras", "file-one"),
    ],
)
def test_result_paths_name_a_file_without_its_folder(name, expected):
    assert backbones.slug(name) == expected


def test_a_file_is_described_without_importing_keras(tmp_path):
    path = write(tmp_path / "é.keras", model(IMAGE, layer("Conv2D")))
    program = (
        "import sys; from normtest_tf import backbones, normalization; "
        "network = backbones.resolve(sys.argv[1], None, normalization.IMAGENET); "
        "print(network.label, network.sha256()); sys.exit('keras' in sys.modules)"
    )
    done = programs.run_code(program, path)
    network = backbones.resolve(str(path), statistics=IMAGENET)
    assert done.stdout.split() == ["é.keras", network.sha256()]
    assert network.architecture.name == "file-é"
    assert network.pretraining.statistics is IMAGENET
    assert (network.tag, network.path) == (None, path)
    random = backbones.resolve(str(path), "none", IMAGENET)
    assert (random.label, random.sha256()) == ("none", network.sha256())


@pytest.mark.parametrize(
    ("config", "members", "words"),
    [
        (model(layer("Mine", "mine", "Mine")), {}, "the custom class 'Mine', which"),
        (model(layer("Mine", None, "own>Mine")), {}, "custom class 'Mine'"),
        (model(model(layer("ViT", "keras_hub.src"))), {}, "custom class 'ViT'"),
        (model(layer("Lambda")), {}, "custom class 'Lambda'"),
        (model(layer("TFSMLayer")), {}, "custom class 'TFSMLayer'"),
        (model(layer("function", "keras.config")), {}, "custom class 'function'"),
        (model(module="mine"), {}, "custom class 'Functional'"),
        ([], {}, "functional or sequential model that Keras 3 saved"),
        (layer("Dense"), {}, "functional or sequential model"),
        (model(*OF_A_RUN, name="classifier"), {}, "is the model of a run"),
        (model(IMAGE), {"normtest_tf": {}}, "pass --model=NAME --weights="),
        (model(*OF_A_RUN, name="functional"), {}, None),
        (model(IMAGE, model(IMAGE, layer("Conv2D"))), {}, None),
        # A layer of Keras Applications that its API does not list.
        (model(layer("LayerScale", "keras.src.applications.convnext")), {}, None),
    ],
)
def test_models_of_stock_layers_are_accepted(tmp_path, config, members, words):
    path = write(tmp_path / "net.keras", config, **members)
    if words is None:
        assert own_models.describe(str(path)).file == path
    else:
        assert words in refusal(path)
        assert str(path) in refusal(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "net.keras"
    assert "No such file" in refusal(path)
    for content in (b"", b"\x89HDF\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        assert f"can't read {path}" in refusal(path)
    (tmp_path / "folder.keras").mkdir()
    assert "directory" in refusal(tmp_path / "folder.keras")
    for other in (tmp_path, tmp_path / "net.h5", "hub:resnet_18_imagenet", ""):
        assert "or name a file: PATH.keras" in refusal(other)


def test_a_file_needs_statistics_and_brings_its_weights(tmp_path):
    path = write(tmp_path / "net.keras", model(IMAGE))
    with pytest.raises(errors.UsageError, match=r"--pretrain_mean=.*--pretrain_std="):
        backbones.resolve(str(path))
    with pytest.raises(errors.UsageError, match="Omit --weights, or pass"):
        backbones.resolve(str(path), "imagenet", IMAGENET)


# The backbone in a file


def feature_map(inputs, name="conv"):
    x = L.Conv2D(5, 3, strides=2, use_bias=False, name=name)(inputs)
    x = L.BatchNormalization(name=f"{name}_norm")(x)
    return L.ReLU(name=f"{name}_relu")(x)


def pooled(inputs):
    return L.GlobalAveragePooling2D(name="pool")(feature_map(inputs))


def classifier(inputs):
    return L.Dense(4, "softmax", name="top")(L.Dropout(0.2)(pooled(inputs)))


def sequential(inputs):
    inner = keras.Input((None, None, 3))
    layers = [L.GlobalAveragePooling2D(), L.Dropout(0.2), L.Dense(4, name="top")]
    return keras.Sequential([inputs, keras.Model(inner, feature_map(inner)), *layers])


def save(path, ending, shape=SHAPE, **options):
    inputs = keras.Input(shape, name="pixels", **options)
    made = ending(inputs)
    if not isinstance(made, keras.Sequential):
        made = keras.Model(inputs, made)
    made.set_weights([RNG.uniform(0.1, 1, w.shape) for w in made.get_weights()])
    made.save(path)
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.keras"


def build(path, shape=SHAPE, **options):
    """Builds the backbone in a file; returns it and the notes."""
    notes = []
    built = own_models.build(path, "file-net", shape, notify=notes.append, **options)
    return built, notes


@pytest.mark.parametrize(
    ("ending", "note"),
    [
        (feature_map, None),
        (pooled, "nothing was taken off net.keras: its output serves as features; if"),
        (classifier, "took the classifier 'top' off net.keras"),
        (sequential, "took the classifier 'top' off net.keras"),
    ],
)
def test_the_backbone_computes_what_it_computed(path, ending, note):
    saved = save(path, ending, (None, None, 3))
    built, notes = build(path)
    assert built.input_shape == (None, *SHAPE)
    assert len(notes) == bool(note)
    assert not note or notes[0].startswith(note)
    assert built.name == "file-net"
    assert "Dropout" not in built.to_json()
    inputs = keras.Input(SHAPE)
    twin = keras.Model(inputs, pooled(inputs))
    twin.set_weights(saved.get_weights()[: len(twin.weights)])
    np.testing.assert_allclose(built(IMAGES), twin(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("of_the_file", ["float32", "mixed_float16"])
def test_the_policy_applies_and_the_weights_are_exact(path, of_the_file):
    keras.config.set_dtype_policy(of_the_file)
    try:
        saved = save(path, lambda x: classifier(L.Rescaling(0.5, name="scale")(x)))
        keras.config.set_dtype_policy("mixed_bfloat16")
        built, (_, note) = build(path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert note.startswith("net.keras normalises its inputs itself, in 'scale', after")
    assert "--pretrain_mean=0,0,0 --pretrain_std=0.00392156862745098,0.0039" in note
    conv = built.get_layer("conv")
    assert (conv.compute_dtype, conv.variable_dtype) == ("bfloat16", "float32")
    assert built.get_layer("scale").compute_dtype == "float32"
    assert built.output.dtype == "bfloat16"
    for ours, theirs in zip(built.get_weights(), saved.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_adapted_normalization_normalises_in_every_copy(path):
    save(path, lambda x: pooled(L.Normalization(name="adapted")(x)))
    saved = keras.models.load_model(path)
    assert not np.allclose(saved.get_layer("adapted")(IMAGES), IMAGES, atol=0.1)
    for copy in (build(path)[0], training_copy.make(saved), writers.in_float32(saved)):
        np.testing.assert_allclose(copy(IMAGES), saved(IMAGES), rtol=1e-5)


def test_random_weights_are_new_ones_and_constants_stay(path):
    saved = save(path, lambda x: feature_map(L.Normalization(name="constants")(x)))
    constants = keras.models.load_model(path).get_layer("constants").mean

    def kernel(seed):
        keras.utils.set_random_seed(seed)
        built, _ = build(path, with_weights=False)
        assert np.array_equal(built.get_layer("constants").mean, constants)
        return np.array(built.get_layer("conv").kernel)

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.any(kernel(1) == kernel(2))
    assert not np.any(kernel(1) == np.array(saved.get_layer("conv").kernel))


def test_integer_inputs_become_floats_with_a_note(path):
    """Otherwise Keras would round normalised images to integers."""
    saved = save(
        path, lambda x: feature_map(keras.ops.cast(x, "float32")), dtype="uint8"
    )
    built, (note,) = build(path)
    assert "takes uint8 images; if it takes pixels from 0 to 255, --pretrain_" in note
    pixels = RNG.integers(0, 256, (2, *SHAPE), "uint8")
    expected = np.array(saved(pixels)).mean((1, 2))
    np.testing.assert_allclose(built(pixels.astype("float32")), expected, rtol=1e-5)


@pytest.mark.parametrize("with_weights", [True, False])
def test_nothing_is_added_to_the_loss(path, with_weights):
    saved = keras.Sequential(
        [
            keras.Input(SHAPE),
            L.Conv2D(4, 3, kernel_regularizer="l2", bias_regularizer="l1"),
            L.BatchNormalization(gamma_regularizer="l2", beta_regularizer="l2"),
            L.SeparableConv2D(4, 3, activity_regularizer="l1"),
            L.ActivityRegularization(0.1),
            L.Reshape((-1, 4)),
            L.Bidirectional(L.LSTM(2, kernel_regularizer="l2")),
        ]
    )
    saved.save(path)
    built, notes = build(path, with_weights=with_weights)
    built(IMAGES, training=True)
    assert sum(float(loss) for loss in built.losses) == 0
    assert "regularizers, which a run leaves out: its losses are mean" in notes[-1]


def test_odd_layers_are_copied_and_trained(path):
    """They are frozen, have names that TensorFlow refuses, or few arguments."""
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential([inputs, L.Conv2D(3, 3, name="préfix é")], name="in ner")
    inner.trainable = False
    x = L.Discretization([0.0, 0.5])(inputs)
    x = inner(L.Conv2D(3, 1, name="_first", trainable=False)(L.Rescaling(1.0)(x)))
    x = L.Reshape((-1, 3))(L.SpatialDropout2D(0.1)(x))
    saved = keras.Model(inputs, L.Flatten()(L.SpatialDropout1D(0.1)(x)))
    saved.save(path)
    built, _ = build(path)
    assert len(built.trainable_weights) == 4
    names = {one.name for one in built._flatten_layers(include_self=False)}
    assert all(LEGAL.fullmatch(name) for name in names)
    assert {"layer_first", "in_ner", "pr_fix__"} <= names
    np.testing.assert_allclose(built(IMAGES), saved(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "wanted", "ending", "words"),
    [
        ((32, 32, 3), SHAPE, pooled, "32x32 pixels. Received: 16x16; pass another --i"),
        ((None, 48, 3), (32, 32, 3), pooled, "anyx48 pixels"),
        ((None, None, 3), (1, 1, 3), pooled, "for images of 1x1 pixels .*larger image"),
        ((16, 16, 1), SHAPE, pooled, "one RGB image.*inputs ..None, 16, 16, 1."),
        (SHAPE, SHAPE, lambda x: [pooled(x), x], "and have one output.*2 outputs"),
        (SHAPE, SHAPE, L.Lambda(lambda x: x / 255), "can't read .*`Lambda`"),
        (SHAPE, SHAPE, L.Reshape((-1, 3)), "in features .n, features.. R"),
    ],
)
def test_models_without_features_of_an_image_are_refused(
    path, shape, wanted, ending, words
):
    save(path, ending, shape)
    with pytest.raises(errors.UsageError, match=words):
        build(path, wanted)


def test_weights_that_can_not_be_used_are_refused(path):
    saved = save(path, classifier)
    saved.get_layer("conv_norm").gamma.assign(np.full(5, np.nan))
    saved.save(path)
    with pytest.raises(errors.UsageError, match="not finite"):
        build(path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_file_is_refused(path, place):
    save(path, classifier)
    whole = path.read_bytes()
    at = int(len(whole) * place)
    flipped = bytes(255 - byte for byte in whole[at : at + 9])
    for content in (whole[:at], whole[:at] + flipped + whole[at + 9 :]):
        path.write_bytes(content)
        with pytest.raises(errors.UsageError, match="can't read"):
            build(path)
