import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.backbones import registry, safetensors_weights
from tests import numpy_resnet

RNG = np.random.default_rng(0)


def trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(("classes", "expected"), [(10, 11_181_642), (100, 11_227_812)])
def test_resnet18_has_the_references_number_of_parameters(classes, expected):
    model = backbones.ResNet18(weights=None, classes=classes, input_shape=(32, 32, 3))
    assert trainable_parameters(model) == expected


@pytest.mark.parametrize(
    ("builder", "size"), [("ResNet18", 32), ("ResNet18", 47), ("CifarResNet8", 32)]
)
def test_resnets_equal_their_definition_in_numpy(builder, size):
    """Independent of Keras: convolutions from PyTorch's formulas, in float64."""
    model = getattr(backbones, builder)(
        weights=None, classes=7, input_shape=(size, size, 3), classifier_activation=None
    )
    model.set_weights([RNG.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    names = safetensors_weights._variables_by_tensor(model)
    tensors = {
        name: safetensors_weights._to_pytorch(np.array(variable)).astype("float64")
        for name, variable in names.items()
    }
    # Signs, so that the ReLUs have something to do.
    for name, tensor in tensors.items():
        if tensor.ndim > 1:
            tensor *= RNG.choice([-1, 1], tensor.shape)
            names[name].assign(safetensors_weights._from_pytorch(tensor))
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
    source = backbones.resolve("keras_resnet50", str(path))
    assert source.label == "mine.safetensors"
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

    from normtest_tf import network

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(network, "host_problem", lambda url: "no answer")
    with pytest.raises(errors.UsageError, match=r"no answer.*--weights=PATH"):
        backbones.ResNet18(weights="tv_in1k")


def test_a_cached_tag_needs_no_network(monkeypatch):
    import huggingface_hub

    from normtest_tf.backbones import weights

    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = weights.fetch(backbones.resolve("resnet18", "a1_in1k"))
    assert path.name == "cached.safetensors"
