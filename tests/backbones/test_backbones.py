import inspect

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.backbones import registry
from normtest_tf.backbones.weights import safetensors_files
from tests.helpers import numpy_resnet

RNG = np.random.default_rng(0)


def trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


# With 10 and with 100 classes; those of the reference study are its own numbers.
PARAMETERS = {
    "ResNet18": (11_181_642, 11_227_812),
    "ResNet34": (21_289_802, 21_335_972),
    "ResNet50": (23_528_522, 23_712_932),
    "ResNet101": (42_520_650, 42_705_060),
    "ResNet152": (58_164_298, 58_348_708),
    "DenseNet121": (6_964_106, 7_056_356),
    "DenseNet161": (26_494_090, 26_692_900),
    "DenseNet169": (12_501_130, 12_650_980),
    "DenseNet201": (18_112_138, 18_285_028),
}


@pytest.mark.parametrize("builder", PARAMETERS)
def test_number_of_parameters(builder):
    build = getattr(backbones, builder)
    ten, hundred = PARAMETERS[builder]
    model = build(weights=None, classes=10, input_shape=(32, 32, 3))
    assert trainable_parameters(model) == ten
    features = model.layers[-1].input.shape[-1]
    assert ten + 90 * (features + 1) == hundred
    assert model.name == builder.lower()


@pytest.mark.parametrize(
    ("builder", "size"), [("ResNet18", 32), ("ResNet18", 47), ("CifarResNet8", 32)]
)
def test_resnets_equal_their_definition_in_numpy(builder, size):
    """Independent of Keras: convolutions from PyTorch's formulas, in float64."""
    model = getattr(backbones, builder)(
        weights=None, classes=7, input_shape=(size, size, 3), classifier_activation=None
    )
    model.set_weights([RNG.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    names = safetensors_files.variables_by_tensor(model)
    tensors = {
        name: safetensors_files.to_pytorch(np.array(variable)).astype("float64")
        for name, variable in names.items()
    }
    # Signs, so that the ReLUs have something to do.
    for name, tensor in tensors.items():
        if tensor.ndim > 1:
            tensor *= RNG.choice([-1, 1], tensor.shape)
            names[name].assign(safetensors_files.from_pytorch(tensor))
    images = RNG.normal(size=(2, size, size, 3))
    expected = numpy_resnet.forward(tensors, images, cifar=builder != "ResNet18")
    logits = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(
        logits, expected, rtol=2e-4, atol=2e-4 * abs(expected).max()
    )


def test_pooling_and_top():
    options = {"weights": None, "input_shape": (64, 64, 3)}
    resnet = backbones.ResNet18
    assert resnet(include_top=False, **options).output_shape == (None, 2, 2, 512)
    for pooling in ("avg", "max"):
        model = resnet(include_top=False, pooling=pooling, **options)
        assert model.output_shape == (None, 512)
    probabilities = resnet(classes=5, **options)(np.zeros((2, 64, 64, 3), "float32"))
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="pooling"):
        resnet(include_top=False, pooling="mean", **options)
    with pytest.raises(ValueError, match="classes"):
        resnet(classes=0, **options)
    with pytest.raises(ValueError, match="at least 32 pixels"):
        resnet(weights=None, input_shape=(31, 32, 3))


@pytest.mark.parametrize("builder", ["ResNet18", "DenseNet121"])
def test_any_size_from_32(builder):
    build = getattr(backbones, builder)
    model = build(include_top=False, weights=None, input_shape=(None, None, 3))
    assert model(np.zeros((1, 33, 95, 3), "float32")).shape[1:3] == (
        (2, 3) if builder == "ResNet18" else (1, 3)
    )


def test_fresh_classifiers_follow_timm():
    options = {"weights": None, "input_shape": (32, 32, 3)}
    dense = backbones.DenseNet121(**options).get_layer("classifier")
    np.testing.assert_array_equal(dense.bias, 0)
    linear = backbones.ResNet18(**options).get_layer("fc")
    bound = 1 / np.sqrt(512)
    for weight in (linear.kernel, linear.bias):
        assert 0.99 * bound < abs(np.array(weight)).max() <= bound


def test_fresh_convolutions_follow_timm():
    """Normal with the variance 2 / fan: DenseNets by fan in, ResNets by fan out."""
    options = {"weights": None, "input_shape": (32, 32, 3), "include_top": False}
    for build, layer, fan in [
        (backbones.ResNet50, "layer1_0_conv3", 256),
        (backbones.DenseNet121, "features_denseblock4_denselayer16_conv1", 992),
    ]:
        kernel = np.array(build(**options).get_layer(layer).kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan), rel=0.05)
        # A truncated distribution would end at two standard deviations.
        assert abs(kernel).max() > 3 * kernel.std()


def test_residual_branches_start_at_0():
    for build, last in [(backbones.ResNet34, "bn2"), (backbones.ResNet50, "bn3")]:
        model = build(weights=None, input_shape=(32, 32, 3), include_top=False)
        for layer in model.layers:
            if layer.name.startswith("layer") and "_bn" in layer.name:
                assert bool(np.any(layer.gamma)) != layer.name.endswith(last)


def test_embedded_weights_classify_and_fit_every_top():
    ten = backbones.CifarResNet8()
    features = backbones.CifarResNet8(include_top=False, pooling="avg")
    np.testing.assert_array_equal(
        ten.get_layer("conv1").kernel, features.get_layer("conv1").kernel
    )
    with pytest.warns(UserWarning, match="left out the classifier of 10 classes"):
        other = backbones.CifarResNet8(classes=4)
    assert other.output_shape == (None, 4)


@pytest.mark.parametrize("name", sorted(registry.ARCHITECTURES))
def test_every_entry_names_a_builder(name):
    entry = backbones.get(name)
    if entry.family == "keras_applications":
        assert callable(getattr(keras.applications, entry.builder))
    else:
        assert callable(getattr(backbones, entry.builder))
    assert entry.default_tag in entry.tags
    assert all(std > 0 for tag in entry.tags.values() for std in tag.statistics.std)


# One network of each kind that carries its own preprocessing unless told otherwise.
@pytest.mark.parametrize(
    "name", ["keras_mobilenetv3small", "keras_efficientnetv2b0", "keras_convnexttiny"]
)
def test_pretrain_equals_the_preprocessing_inside_keras_models(name):
    from normtest_tf import normalization

    entry = backbones.get(name)
    builder = getattr(keras.applications, entry.builder)
    shape = (32, 32, 3)
    options = {"weights": None, "include_top": False, "input_shape": shape}
    bare = builder(include_preprocessing=False, **options)
    complete = builder(include_preprocessing=True, **options)
    complete.set_weights(
        [w for w in complete.get_weights() if w.ndim == 0][:0]
        + _with_preprocessing_weights(complete, bare.get_weights())
    )
    pretraining = entry.tags["imagenet"]
    layer = normalization.normalization_layer(pretraining.statistics, shape)
    images = RNG.integers(0, 256, (2, *shape)).astype("float32")
    np.testing.assert_allclose(
        bare(layer(images)), complete(images), rtol=1e-3, atol=1e-4
    )


def _with_preprocessing_weights(model, weights):
    """Returns `weights` with those of the model's own preprocessing put in front."""
    own = model.get_weights()
    return own[: len(own) - len(weights)] + weights


def test_timms_tags_tell_their_own_preprocessing_and_licence():
    tag = backbones.get("resnet34").tags["ra4_e3600_r224_in1k"]
    assert tag.statistics is registry.HALF
    tag = backbones.get("resnet18").tags["fb_ssl_yfcc100m_ft_in1k"]
    assert tag.licence == "cc-by-nc-4.0"
    assert tag.trained_on == "YFCC-100M, then ImageNet-1k"
    assert tag.statistics.definition == "per-image"
    defaults = {
        "resnet18": "tv_in1k",
        "resnet50": "a1_in1k",
        "densenet121": "ra_in1k",
        "densenet161": "tv_in1k",
    }
    for name, default in defaults.items():
        entry = backbones.get(name)
        assert entry.default_tag == default
        assert entry.tags[default].origin == f"hf:timm/{name}.{default}"


def test_constants_of_unknown_source_are_refused():
    with pytest.raises(ValueError, match="unknown constants"):
        registry._statistics("0.4 0.4 0.4", "0.2 0.2 0.2")


def test_a_networks_default_weights_are_its_default_tag():
    for entry in registry.ARCHITECTURES.values():
        if entry.family != "keras_applications":
            signature = inspect.signature(getattr(backbones, entry.builder))
            assert signature.parameters["weights"].default == entry.default_tag


@pytest.mark.torch
def test_the_registry_has_exactly_what_timm_publishes():
    from experiments.support import timm_tags

    assert registry.TIMM_TAGS.read_text() == timm_tags.csv_text()


def test_build_gives_pooled_features_of_any_family():
    for name in ("cifar_resnet8", "keras_mobilenet_025"):
        source = backbones.resolve(name, "none")
        model, left_out = backbones.build(source, (32, 32, 3))
        assert len(model.output_shape) == 2
        assert left_out == []


def test_too_small_images_are_refused():
    with pytest.raises(errors.UsageError, match=r"at least 71 pixels.*32x32"):
        backbones.build(backbones.resolve("keras_xception", "none"), (32, 32, 3))


def test_resolve(tmp_path):
    assert backbones.resolve("resnet18").tag == "tv_in1k"
    assert backbones.resolve("resnet18", "a1_in1k").label == "a1_in1k"
    assert backbones.resolve("resnet18", "none").label == "none"
    path = tmp_path / "mine.safetensors"
    path.touch()
    assert backbones.resolve("resnet18", str(path)).label == "mine.safetensors"
    keras_path = tmp_path / "mine.h5"
    keras_path.touch()
    source = backbones.resolve("keras_resnet50", str(keras_path))
    assert source.pretraining.channel_order == "bgr"
    other = tmp_path / "weights.pt"
    other.touch()
    for model, weights, message in [
        ("resnet18", str(other), "does not look like weights"),
        ("resnet18", str(tmp_path), "neither a file nor a tag"),
        ("resnet18", "tv_in2k", "Allowed: a tag .tv_in1k"),
        ("resnet19", None, "Did you mean 'resnet18'"),
    ]:
        with pytest.raises(errors.UsageError, match=message):
            backbones.resolve(model, weights)


def test_a_tag_that_can_not_be_downloaded_is_one_clear_error(monkeypatch, tmp_path):
    from huggingface_hub import constants

    from normtest_tf.system import hosts

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hosts, "host_problem", lambda url: "no answer")
    with pytest.raises(errors.UsageError, match=r"no answer.*--weights=PATH"):
        backbones.ResNet18(weights="tv_in1k")


def test_a_cached_tag_needs_no_network(monkeypatch):
    import huggingface_hub

    from normtest_tf.backbones.weights import sources as weights

    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = weights.fetch(backbones.resolve("resnet18", "a1_in1k"))
    assert path.name == "cached.safetensors"
