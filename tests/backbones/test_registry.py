"""The networks: names, tags, and the preprocessing of Keras Applications."""

import inspect

import keras
import numpy as np
import pytest

from normtest_tf import backbones, normalization
from normtest_tf.backbones import registry
from normtest_tf.normalization import IMAGENET

SHAPE = (32, 32, 3)
BARE = {"weights": None, "include_top": False, "input_shape": SHAPE}
NETWORKS = [x for x in backbones.ARCHITECTURES.values() if not x.is_own]
# Networks whose function normalises inputs itself, unless told otherwise.
INSIDE = [e for e in NETWORKS if e.first_layer or "include_preprocessing" in e.options]


def test_our_own_networks_are_functions_of_the_package():
    assert backbones.ResNet18 is backbones.get("resnet18").load_builder()
    for name in backbones.__all__:
        assert getattr(backbones, name)
    with pytest.raises(AttributeError, match="VGG16"):
        backbones.VGG16  # noqa: B018  (the attribute is what fails)


def test_tags_of_timm_have_their_own_preprocessing_and_licence():
    tag = backbones.get("resnet34").tags["ra4_e3600_r224_in1k"]
    assert tag.statistics is registry.HALF
    tag = backbones.get("resnet18").tags["fb_ssl_yfcc100m_ft_in1k"]
    assert tag.licence == "cc-by-nc-4.0"
    assert tag.trained_on == "YFCC-100M, then ImageNet-1k"
    assert tag.statistics.definition == "per-image"


@pytest.mark.parametrize(
    "weights", ["resnet18.tv_in1k", "resnet50.a1_in1k", "densenet121.ra_in1k"]
)
def test_default_weights_are_those_of_the_pytorch_study(weights):
    entry = backbones.get(weights.partition(".")[0])
    assert entry.tags[entry.default_tag].origin == f"hf:timm/{weights}"


@pytest.mark.torch
def test_the_registry_has_exactly_what_timm_publishes():
    from experiments import networks

    assert registry.TIMM_TAGS.read_text(encoding="utf-8") == networks.timm_tags()


# Keras Applications


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


@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda entry: entry.name)
def test_statistics_and_size_are_those_of_keras(architecture):
    images = pixels()
    expected = source(architecture).preprocess_input(images.copy())
    if architecture in INSIDE:
        np.testing.assert_array_equal(expected, images)
    else:
        found = normalised(architecture, images)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert not np.allclose(found, images)
    size = architecture.min_size - 1
    with pytest.raises(ValueError, match=rf"at least {architecture.min_size}x"):
        architecture.build(**BARE | {"input_shape": (size, size, 3)})


@pytest.mark.parametrize(
    "name",
    ["mobilenetv3small", "convnexttiny", "efficientnetv2-b0", "efficientnetv2-s"],
)
def test_pretrain_equals_the_preprocessing_inside_keras_models(name, monkeypatch):
    architecture = backbones.get(f"keras_{name.replace('-', '')}")
    if "-" in name:  # All of its blocks would take long.
        blocks = source(architecture).DEFAULT_BLOCKS_ARGS
        monkeypatch.setitem(blocks, name, blocks[name][:1])
    bare = architecture.build(**BARE)
    complete = architecture.load_builder()(include_preprocessing=True, **BARE)
    # The preprocessing comes first and may have constants among its weights.
    weights = bare.get_weights()
    own = complete.get_weights()
    complete.set_weights(own[: len(own) - len(weights)] + weights)
    images = pixels()
    np.testing.assert_allclose(
        bare(normalised(architecture, images)), complete(images), rtol=1e-3, atol=1e-4
    )


@pytest.fixture
def one_block(monkeypatch):
    """Shortens all EfficientNets, so that they are built at once."""
    module = source(backbones.get("keras_efficientnetb0"))
    short = module.DEFAULT_BLOCKS_ARGS[:1]
    monkeypatch.setattr(module, "DEFAULT_BLOCKS_ARGS", short)
    return module


def whole(name, **options):
    """Returns an EfficientNet as Keras builds it, with constants in its layer.

    Keras's weights hold the std where the variance belongs, and undo that later.
    """
    model = backbones.get(name).load_builder()(**BARE, **options)
    layer = next(x for x in model.layers if isinstance(x, keras.layers.Normalization))
    layer.set_weights(list(map(np.array, (IMAGENET.mean, IMAGENET.std, 0))))
    return model


def test_an_efficientnet_sees_what_its_own_preprocessing_would_give_it(
    tmp_path, one_block, monkeypatch
):
    name = "keras_efficientnetb0"
    path = tmp_path / "imagenet.weights.h5"
    whole(name).save_weights(path)
    monkeypatch.setattr(one_block.file_utils, "get_file", lambda *_, **__: str(path))
    trained = {**BARE, "weights": "imagenet"}
    complete = backbones.get(name).load_builder()(**trained)
    architecture = backbones.get(name)
    model = architecture.build(**trained)
    images = pixels()
    found = model(normalised(architecture, images))
    np.testing.assert_allclose(found, complete(images), rtol=1e-3, atol=1e-4)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not kinds & {"Rescaling", "Normalization"}
    assert model.name == "efficientnetb0"


@pytest.mark.parametrize("file", ["mine.weights.h5", "mine.keras"])
def test_an_efficientnets_file_is_loaded_without_its_preprocessing(
    tmp_path, one_block, file
):
    name = "keras_efficientnetb0"
    donor = whole(name, pooling="avg")
    (donor.save if file.endswith(".keras") else donor.save_weights)(tmp_path / file)
    notes = []
    model = backbones.resolve(name, str(tmp_path / file)).build(SHAPE, notes.append)
    np.testing.assert_array_equal(
        model.get_layer("stem_conv").kernel, donor.get_layer("stem_conv").kernel
    )
    (note,) = notes  # Keras numbers the layer.
    assert note.startswith("skipped the preprocessing 'normalization")
    assert note.endswith(f"' in {file}")
