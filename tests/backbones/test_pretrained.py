"""What --model and --weights mean, and the networks that come of it."""

import inspect

import huggingface_hub
import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.system import files

SHAPE = (32, 32, 3)
# With 10 classes; golden parity tests have the other networks.
PARAMETERS = {
    "resnet34": 21_289_802,
    "resnet101": 42_520_650,
    "resnet152": 58_164_298,
    "densenet169": 12_501_130,
    "densenet201": 18_112_138,
}
OWN = [entry for entry in backbones.ARCHITECTURES.values() if entry.is_own]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Makes a folder with files the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "two").mkdir()
    for name in (
        *("weights.pt", "a.PTH.tar", "pytorch_model.bin", "weights.onnx"),
        *("mine.safetensors", "mine.h5", "two/model.safetensors", "two/model.keras"),
    ):
        (tmp_path / name).write_text("some weights")


def test_a_classifier_is_skipped_with_a_note_if_the_file_is_the_users():
    path = backbones.resolve("cifar_resnet8").fetch()
    expected = backbones.CifarResNet8().get_layer("layer3_0_conv2").kernel
    note = f"skipped the classifier 'fc' in {path.name}"
    for weights, noted in [(None, []), (str(path), [note])]:
        notes = []
        model = backbones.resolve("cifar_resnet8", weights).build(SHAPE, notes.append)
        assert notes == noted
        assert model.output_shape == (None, 128)
        np.testing.assert_array_equal(
            model.get_layer("layer3_0_conv2").kernel, expected
        )
    with pytest.warns(UserWarning, match="skipped the classifier 'fc'"):
        other = backbones.CifarResNet8(classes=4)
    assert other.output_shape == (None, 4)


def test_a_network_of_keras_is_built_with_the_weights_that_keras_downloads(monkeypatch):
    received = {}

    def mobilenet(**arguments):
        received.update(arguments)
        return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])

    monkeypatch.setattr(keras.applications, "MobileNet", mobilenet)
    backbones.resolve("keras_mobilenet_025").build(SHAPE)
    options = {"include_top": False, "input_shape": SHAPE, "pooling": "avg"}
    assert received == {"alpha": 0.25, "weights": "imagenet", **options}


@pytest.mark.parametrize(
    ("model", "weights", "origin", "label"),
    [
        ("resnet18", None, "hf:timm/resnet18.tv_in1k", "tv_in1k"),
        ("resnet18", "a1_in1k", "hf:timm/resnet18.a1_in1k", "a1_in1k"),
        ("resnet18", "none", "none", "none"),
        ("resnet18", "mine.safetensors", "file", "mine.safetensors"),
        ("keras_resnet50", "mine.h5", "file", "mine.h5"),
    ],
)
def test_weights_are_a_tag_none_or_a_file(mine, model, weights, origin, label):
    """Of weights without a tag, only the default tag's inputs are assumed."""
    network = backbones.resolve(model, weights)
    assert (network.pretraining.origin, network.label) == (origin, label)
    assert (network.sha256() is not None) == (origin == "file")
    default = backbones.resolve(model).pretraining
    assert network.pretraining.statistics == default.statistics
    assert network.pretraining.channel_order == default.channel_order
    if network.tag is None:
        assert network.pretraining.trained_on == "unknown"
        assert network.pretraining.licence == "unknown"


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("resnet18", "weights.onnx", "does not look like a weights file"),
        ("resnet18", "weights.pt", "pickle of PyTorch, which can run code"),
        ("resnet18", "a.PTH.tar", r"pickle.*safetensors\.torch\.save_file"),
        ("resnet18", "pytorch_model.bin", "pickle"),
        ("resnet18", "two", "two holds model.keras and model.safetensors. Allowed"),
        ("resnet18", "a\0b", "neither a file nor a tag"),
        ("resnet18", "folder", "folder holds no weights"),
        ("resnet18", "/dev/null", "neither a file nor a tag"),
        ("resnet18", "x" * 5000, "neither a file nor a tag"),
        ("keras_resnet50", "mine.safetensors", "networks in timm's layout"),
    ],
)
def test_other_weights_are_refused(mine, model, weights, message):
    with pytest.raises(errors.UsageError, match=message):
        backbones.resolve(model, weights)


# Downloads


def test_a_cached_tag_is_used_offline(monkeypatch):
    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = backbones.resolve("resnet18", "a1_in1k").fetch()
    assert path.name == "cached.safetensors"


@pytest.mark.parametrize("problem", [None, "no answer"])
def test_a_tag_that_cannot_be_downloaded_is_one_clear_error(monkeypatch, problem):
    def hub(repository, name, local_files_only=False):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        raise RuntimeError("ReadTimeout")

    def vgg16(**_):
        raise Exception("URL fetch failure") from OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    monkeypatch.setattr(files, "host_problem", lambda url: problem)
    words = rf"resnet18\.tv_in1k from timm/.*{problem or 'ReadTimeout'}.*--weights=PATH"
    with pytest.raises(errors.UsageError, match=words):
        backbones.resolve("resnet18").fetch()
    with pytest.raises(errors.UsageError, match=r"vgg16\.imagenet.*no route to host"):
        backbones.resolve("keras_vgg16").build(SHAPE)


# Our own networks as functions: sizes, tops, arguments


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_as_many_parameters_as_their_pytorch_twins(name):
    model = backbones.get(name).build(weights=None, classes=10, input_shape=(32, 32, 3))
    count = sum(np.prod(v.shape) for v in model.trainable_variables)
    assert (model.name, count) == (name, PARAMETERS[name])


@pytest.mark.parametrize("architecture", OWN, ids=lambda entry: entry.name)
def test_functions_have_the_signature_of_keras_applications(architecture):
    parameters = inspect.signature(architecture.load_builder()).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "include_top": True,
        "weights": architecture.default_tag,
        "input_shape": None,
        "pooling": None,
        "classes": 10 if architecture.name.startswith("cifar_") else 1000,
        "classifier_activation": "softmax",
        "name": architecture.name,
    }


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"include_top": False}, (2, 2, 128)),
        ({"include_top": False, "pooling": "avg"}, (128,)),
        ({"include_top": False, "pooling": "max"}, (128,)),
        ({"classes": 5}, (5,)),
        ({"include_top": False, "input_shape": (None, None, 3)}, (2, 2, 128)),
    ],
)
def test_a_network_ends_in_a_classifier_pooling_or_a_feature_map(options, shape):
    options = {"weights": None, "input_shape": (16, 16, 3)} | options
    found = backbones.CifarResNet8(**options)(np.zeros((2, 16, 16, 3), "float32"))
    assert found.shape == (2, *shape)
    if "classes" in options:
        np.testing.assert_allclose(np.sum(found, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"include_top": False, "pooling": "mean"}, "pooling='mean'"),
        ({"input_shape": (31, 32, 3)}, "at least 32 pixels"),
    ],
)
def test_arguments_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.ResNet18(weights=None, **arguments)


def test_fresh_weights_have_timms_distributions():
    for function, name, fan, bias in [
        (backbones.ResNet50, "layer1_0_conv3", 256, True),
        (backbones.DenseNet121, "features_denseblock4_denselayer16_conv1", 992, False),
    ]:
        model = function(weights=None, input_shape=(32, 32, 3))
        kernel = np.array(model.get_layer(name).kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan), rel=0.05)
        # A truncated distribution would end at two standard deviations.
        assert abs(kernel).max() > 3 * kernel.std()
        head = model.layers[-1]
        bound = 1 / np.sqrt(head.kernel.shape[0])
        assert 0.99 * bound < abs(np.array(head.kernel)).max() <= bound
        assert 0.99 * bound * bias <= abs(np.array(head.bias)).max() <= bound * bias
