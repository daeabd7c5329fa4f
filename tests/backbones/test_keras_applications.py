import inspect

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors, normalization
from normtest_tf.backbones import keras_applications
from normtest_tf.backbones.architecture import BY_128
from normtest_tf.normalization import IMAGENET

SHAPE = (32, 32, 3)
BARE = {"weights": None, "include_top": False, "input_shape": SHAPE}
NETWORKS = keras_applications.NETWORKS
EFFICIENTNETS = [f"keras_efficientnetb{number}" for number in range(8)]
# Networks whose function normalises inputs itself, unless told otherwise.
INSIDE = [e for e in NETWORKS if e.first_layer or "include_preprocessing" in e.options]
OUTSIDE = [entry for entry in NETWORKS if entry not in INSIDE]


def pixels():
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE))
    return images.astype("float32")


def normalised(architecture, images):
    tag = architecture.tags["imagenet"]
    return normalization.normalization_layer(tag.statistics, SHAPE, tag.channel_order)(
        images
    )


def source(architecture):
    """Returns the module of Keras that defines a network."""
    return inspect.getmodule(architecture.load_builder())


def test_every_function_of_keras_applications_has_a_network():
    functions = {
        name
        for name, value in vars(keras.applications).items()
        if callable(value) and "include_top" in inspect.signature(value).parameters
    }
    assert functions == {entry.builder.partition(":")[2] for entry in NETWORKS}


@pytest.mark.parametrize("architecture", OUTSIDE, ids=lambda entry: entry.name)
def test_statistics_are_those_of_the_networks_own_preprocess_input(architecture):
    images = pixels()
    expected = source(architecture).preprocess_input(images.copy())
    assert not np.allclose(expected, images)
    np.testing.assert_allclose(
        normalised(architecture, images), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("architecture", INSIDE, ids=lambda entry: entry.name)
def test_other_networks_have_the_preprocessing_inside(architecture):
    images = pixels()
    assert source(architecture).preprocess_input(images) is images


@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda entry: entry.name)
def test_the_smallest_image_is_what_keras_demands(architecture):
    size = architecture.min_size - 1
    options = BARE | {"input_shape": (size, size, 3)}
    with pytest.raises(ValueError, match=rf"at least {architecture.min_size}x"):
        architecture.build(**options)


# One network of each kind that carries its own preprocessing unless told otherwise.
@pytest.mark.parametrize(
    "name", ["keras_mobilenetv3small", "keras_efficientnetv2b0", "keras_convnexttiny"]
)
def test_pretrain_equals_the_preprocessing_inside_keras_models(name):
    check_against_the_preprocessing_inside(backbones.get(name))


@pytest.mark.parametrize("size", ["s", "m", "l"])
def test_large_efficientnets_of_the_second_version_scale_by_128(size, monkeypatch):
    architecture = backbones.get(f"keras_efficientnetv2{size}")
    assert architecture.tags["imagenet"].statistics is BY_128
    blocks = source(architecture).DEFAULT_BLOCKS_ARGS
    name = f"efficientnetv2-{size}"
    monkeypatch.setitem(blocks, name, blocks[name][:1])  # All of them would take long.
    check_against_the_preprocessing_inside(architecture)


def check_against_the_preprocessing_inside(architecture):
    bare = architecture.build(**BARE)
    complete = architecture.load_builder()(include_preprocessing=True, **BARE)
    # The preprocessing comes first and may have constants among its weights.
    weights = bare.get_weights()
    own = complete.get_weights()
    complete.set_weights(own[: len(own) - len(weights)] + weights)
    images = pixels()
    np.testing.assert_allclose(
        bare(normalised(architecture, images)),
        complete(images),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.fixture
def one_block(monkeypatch):
    """Shortens all EfficientNets, so that they are built at once."""
    module = source(backbones.get("keras_efficientnetb0"))
    short = module.DEFAULT_BLOCKS_ARGS[:1]
    monkeypatch.setattr(module, "DEFAULT_BLOCKS_ARGS", short)
    return module


def whole(name, variance, **options):
    """Returns an EfficientNet as Keras builds it, with constants in its layer."""
    model = backbones.get(name).load_builder()(**BARE, **options)
    layer = next(x for x in model.layers if isinstance(x, keras.layers.Normalization))
    layer.set_weights([np.array(IMAGENET.mean), np.array(variance), np.array(0)])
    return model


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_efficientnets_start_behind_their_own_preprocessing(name, one_block):
    model = backbones.get(name).build(**BARE)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not kinds & {"Rescaling", "Normalization"}
    assert model.input_shape == (None, *SHAPE)
    assert model.name.replace("-", "") == name.removeprefix("keras_")


def test_an_efficientnet_sees_what_its_own_preprocessing_would_give_it(
    tmp_path, one_block, monkeypatch
):
    """Keras's weights hold the std where the variance belongs, and undo that later."""
    name = "keras_efficientnetb0"
    path = tmp_path / "imagenet.weights.h5"
    whole(name, IMAGENET.std).save_weights(path)
    monkeypatch.setattr(one_block.file_utils, "get_file", lambda *_, **__: str(path))
    trained = {**BARE, "weights": "imagenet"}
    complete = backbones.get(name).load_builder()(**trained)
    architecture = backbones.get(name)
    images = pixels()
    np.testing.assert_allclose(
        architecture.build(**trained)(normalised(architecture, images)),
        complete(images),
        rtol=1e-3,
        atol=1e-4,
    )
    whole(name, np.square(IMAGENET.std)).save_weights(path)
    with pytest.raises(errors.UsageError, match="not with torchvision's constants"):
        architecture.build(**trained)


def test_a_file_of_an_efficientnet_is_loaded_without_its_preprocessing(
    tmp_path, one_block
):
    name = "keras_efficientnetb0"
    donor = whole(name, IMAGENET.std, pooling="avg")
    for file in ("mine.weights.h5", "mine.keras"):
        save = donor.save if file.endswith(".keras") else donor.save_weights
        save(tmp_path / file)
        notes = []
        network = backbones.resolve(name, str(tmp_path / file))
        model = network.build(SHAPE, notes.append)
        np.testing.assert_array_equal(
            model.get_layer("stem_conv").kernel, donor.get_layer("stem_conv").kernel
        )
        (note,) = notes  # Keras numbers the layer.
        assert note.startswith("skipped the preprocessing 'normalization")
        assert note.endswith(f"' in {file}")
