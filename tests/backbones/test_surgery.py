"""Backbones out of .keras files: where the head is cut off, and what stays exact."""

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.backbones import surgery
from normtest_tf.normalization import IMAGENET
from tests.backbones.weights.helpers import randomise

SHAPE = (16, 16, 3)
L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, *SHAPE)).astype("float32")


def trunk(inputs, prefix=""):
    """Returns a feature map of 5 channels."""
    x = L.Conv2D(5, 3, strides=2, use_bias=False, name=f"{prefix}conv")(inputs)
    x = L.BatchNormalization(name=f"{prefix}norm")(x)
    return L.ReLU(name=f"{prefix}relu")(x)


def classified(x, activation="softmax"):
    x = L.GlobalAveragePooling2D(name="pool")(x)
    x = L.Dropout(0.2, name="drop")(x)
    return L.Dense(4, activation=activation, name="top")(x)


def feature_map(inputs):
    return trunk(inputs)


def pooled(inputs):
    return L.GlobalMaxPooling2D(name="pool")(trunk(inputs))


def classifier(inputs):
    return classified(trunk(inputs))


def logits_and_softmax(inputs):
    return L.Softmax()(L.Activation("linear")(classified(trunk(inputs), None)))


def convolutional_head(inputs):
    """As MobileNet ends."""
    x = L.GlobalAveragePooling2D(keepdims=True, name="pool")(trunk(inputs))
    x = L.Conv2D(4, 1, name="top")(L.Dropout(0.1)(x))
    return L.Activation("softmax")(L.Reshape((4,))(x))


def two_dense_layers(inputs):
    x = L.Dense(6, activation="relu", name="pool")(L.Flatten()(trunk(inputs)))
    return L.Dense(4, name="top")(x)


def sequential(inputs):
    inner = keras.Input(SHAPE)
    return keras.Sequential(
        [
            inputs,
            keras.Model(inner, trunk(inner)),
            L.GlobalAveragePooling2D(name="pool"),
            L.Dropout(0.2),
            L.Dense(4, name="top"),
        ]
    )


def classifier_within(inputs):
    """As of a tutorial: a whole classifier behind its preprocessing."""
    inner = keras.Input(SHAPE)
    return keras.Model(inner, classified(trunk(inner)), name="whole")(inputs)


def arithmetic(inputs):
    x = trunk(inputs)
    return classified(keras.ops.abs(x * 2.0 + x))


ENDINGS = [
    (feature_map, None, "relu"),
    (pooled, None, "pool"),
    (classifier, "top", "pool"),
    (logits_and_softmax, "top", "pool"),
    (convolutional_head, "top", "pool"),
    (two_dense_layers, "top", "pool"),
    (sequential, "top", "pool"),
    (classifier_within, "top", "pool"),
    (arithmetic, "top", "pool"),
]


def save(path, ending, shape=SHAPE, **options):
    inputs = keras.Input(shape, name="pixels", **options)
    made = ending(inputs)
    if not isinstance(made, keras.Sequential):
        made = keras.Model(inputs, made)
    randomise(made).save(path)
    return made


def build(path, shape=SHAPE, **options):
    """Builds the backbone in a file; returns it and the notes."""
    notes = []
    model = surgery.build_from_file(
        path, "file-net", shape, notify=notes.append, **options
    )
    return model, notes


def find(model, name):
    """Returns the layer of a name, wherever it is, and the model that it is in."""
    for layer in model.layers:
        if layer.name == name:
            return layer, model
        if isinstance(layer, keras.Model) and (found := find(layer, name)):
            return found
    return None


@pytest.mark.parametrize(
    ("ending", "head", "last"),
    ENDINGS,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_head_is_cut_off_where_the_classifier_begins(tmp_path, ending, head, last):
    saved = save(tmp_path / "net.keras", ending)
    built, notes = build(tmp_path / "net.keras")
    taken = [f"took the classifier {head!r} off net.keras"]
    kept = ["nothing was taken off net.keras: its output, [n, 5], serves as features"]
    assert notes == {"relu": [], "pool": taken if head else kept}[last]
    layer, within = find(saved, last)
    expected = keras.Model(within.inputs[0], layer.output)(IMAGES, training=False)
    expected = np.array(expected)
    if expected.ndim == 4:
        expected = expected.mean((1, 2))
    features = np.array(built(IMAGES, training=False))
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=1e-6, atol=1e-6)
    assert built.name == "file-net"
    assert "Dropout" not in built.to_json()


def test_the_policy_applies_and_the_weights_are_exact(tmp_path):
    def ending(inputs):
        return classified(trunk(L.Rescaling(0.5, name="scale")(inputs)))

    saved = save(tmp_path / "net.keras", ending)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        built, _ = build(tmp_path / "net.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    conv = built.get_layer("conv")
    assert (conv.compute_dtype, conv.variable_dtype) == ("bfloat16", "float32")
    assert built.get_layer("scale").compute_dtype == "float32"
    assert built.output.dtype == "bfloat16"
    weights = built.get_weights()
    assert len(weights) == len(saved.get_weights()) - 2
    for ours, theirs in zip(weights, saved.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_a_policy_in_the_file_does_not_count(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        saved = save(tmp_path / "net.keras", feature_map)
    finally:
        keras.config.set_dtype_policy("float32")
    built, _ = build(tmp_path / "net.keras")
    assert {layer.compute_dtype for layer in built.layers} == {"float32"}
    for ours, theirs in zip(built.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_random_weights_are_new_ones_and_constants_stay(tmp_path):
    def ending(inputs):
        constants = L.Normalization(name="constants")
        constants.adapt(RNG.uniform(0, 255, (9, *SHAPE)))
        return trunk(constants(inputs))

    inputs = keras.Input(SHAPE)
    saved = keras.Model(inputs, ending(inputs))
    saved.save(tmp_path / "net.keras")

    def kernel(seed):
        keras.utils.set_random_seed(seed)
        built, _ = build(tmp_path / "net.keras", with_weights=False)
        for ours, theirs in zip(
            built.get_layer("constants").get_weights(),
            saved.get_layer("constants").get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
        return np.array(built.get_layer("conv").kernel)

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.any(kernel(1) == kernel(2))
    assert not np.any(kernel(1) == np.array(saved.get_layer("conv").kernel))


def test_every_layer_is_trained_even_if_it_was_saved_frozen(tmp_path):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, classifier(inputs))
    for name in ("conv", "norm"):
        model.get_layer(name).trainable = False
    model.save(tmp_path / "net.keras")
    built, notes = build(tmp_path / "net.keras")
    assert notes[1:] == [
        "net.keras was saved with 2 frozen layers; a run trains every layer"
    ]
    assert len(built.trainable_weights) == 3  # A kernel, gamma and beta.
    within = keras.Sequential([inputs, L.Conv2D(5, 3)])
    within.trainable = False
    keras.Model(inputs, within(inputs)).save(tmp_path / "net.keras")
    built, notes = build(tmp_path / "net.keras")
    assert "1 frozen layer;" in notes[0]
    assert len(built.trainable_weights) == 2


@pytest.mark.parametrize(
    "preprocess",
    [
        L.Rescaling(1 / 255, name="scale"),
        lambda inputs: L.Rescaling(1 / 255, name="scale")(L.ZeroPadding2D()(inputs)),
        keras.Sequential([L.Rescaling(1 / 255, name="scale")]),
        lambda inputs: inputs / 127.5 - 1,
    ],
)
def test_a_model_that_normalises_its_inputs_itself_is_noted(tmp_path, preprocess):
    save(tmp_path / "net.keras", lambda inputs: trunk(preprocess(inputs)))
    _, (note,) = build(tmp_path / "net.keras")
    assert note.startswith("net.keras normalises its inputs itself, in '")
    assert "--pretrain_mean=0,0,0 --pretrain_std=0.00392156862745098,0.0039" in note
    save(tmp_path / "bare.keras", lambda inputs: L.Rescaling(2.0)(trunk(inputs)))
    assert build(tmp_path / "bare.keras")[1] == []


def test_integer_inputs_become_floats(tmp_path):
    """Otherwise Keras would round normalised images to integers."""
    saved = save(
        tmp_path / "net.keras",
        lambda inputs: trunk(L.Rescaling(1 / 255)(inputs)),
        dtype="uint8",
    )
    built, _ = build(tmp_path / "net.keras")
    pixels = RNG.integers(0, 256, (2, *SHAPE), "uint8")
    expected = np.array(saved(pixels)).mean((1, 2))
    np.testing.assert_allclose(built(pixels.astype("float32")), expected, rtol=1e-5)
    halves = built(np.full((1, *SHAPE), 0.5, "float32"))
    assert np.any(np.array(halves) != np.array(built(np.zeros((1, *SHAPE)))))


@pytest.mark.parametrize(
    ("saved", "wanted", "words"),
    [
        ((32, 32, 3), (16, 16, 3), "32x32 pixels. Received: 16x16; pass .*size=32"),
        ((32, 48, 3), (32, 32, 3), "32x48 pixels. Received: 32x32; save the model"),
        ((None, 48, 3), (32, 32, 3), "anyx48 pixels"),
        ((None, None, 3), (1, 1, 3), "for images of 1x1 pixels .*larger images"),
    ],
)
def test_images_of_a_size_that_it_does_not_take_are_refused(
    tmp_path, saved, wanted, words
):
    save(tmp_path / "net.keras", feature_map, saved)
    with pytest.raises(errors.UsageError, match=words):
        build(tmp_path / "net.keras", wanted)


def test_a_model_for_any_size_is_built_for_the_images(tmp_path):
    save(tmp_path / "net.keras", classifier, (None, None, 3))
    network = backbones.resolve(str(tmp_path / "net.keras"), None, IMAGENET)
    notes = []
    built = network.build((20, 24, 3), notes.append)
    assert built.input_shape == (None, 20, 24, 3)
    assert built.output_shape == (None, 5)
    assert notes == ["took the classifier 'top' off net.keras"]


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (lambda x: [trunk(x, "a"), trunk(x, "b")], "Received: 1 and 2"),
        (lambda x: L.Reshape((49, 5))(trunk(x)), "in features .n, features.. Received"),
    ],
)
def test_models_without_one_feature_vector_are_refused(tmp_path, ending, words):
    save(tmp_path / "net.keras", ending)
    with pytest.raises(errors.UsageError, match=words):
        build(tmp_path / "net.keras")


def test_weights_that_can_not_be_used_are_refused(tmp_path):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, classifier(inputs))
    for name, value, words in [
        ("gamma", np.nan, "not finite"),
        ("moving_variance", -1.0, "running variance of 'norm'"),
    ]:
        variable = getattr(model.get_layer("norm"), name)
        variable.assign(np.full(5, value))
        model.save(tmp_path / "net.keras")
        with pytest.raises(errors.UsageError, match=words):
            build(tmp_path / "net.keras")
        variable.assign(np.ones(5))


def test_layers_that_keras_does_not_know_are_refused(tmp_path):
    class Mine(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    inputs = keras.Input(SHAPE)
    keras.Model(inputs, Mine()(trunk(inputs))).save(tmp_path / "net.keras")
    with pytest.raises(errors.UsageError, match="the custom class 'Mine'"):
        backbones.resolve(str(tmp_path / "net.keras"), None, IMAGENET)


def test_a_real_classifier_of_keras_applications_is_cut(tmp_path):
    model = keras.applications.MobileNet(
        alpha=0.25, weights=None, input_shape=(32, 32, 3), classes=7
    )
    randomise(model).save(tmp_path / "net.keras")
    built, notes = build(tmp_path / "net.keras", (32, 32, 3))
    assert notes == ["took the classifier 'conv_preds' off net.keras"]
    twin = keras.applications.MobileNet(
        alpha=0.25,
        weights=None,
        input_shape=(32, 32, 3),
        include_top=False,
        pooling="avg",
    )
    assert [w.shape for w in built.weights] == [w.shape for w in twin.weights]
