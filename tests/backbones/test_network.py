"""What all of our own networks have in common: sizes, tops, arguments."""

import inspect

import numpy as np
import pytest

from normtest_tf import backbones

# With 10 and with 100 classes; the PyTorch study reports those of its four networks.
PARAMETERS = {
    "resnet18": (11_181_642, 11_227_812),
    "resnet34": (21_289_802, 21_335_972),
    "resnet50": (23_528_522, 23_712_932),
    "resnet101": (42_520_650, 42_705_060),
    "resnet152": (58_164_298, 58_348_708),
    "densenet121": (6_964_106, 7_056_356),
    "densenet161": (26_494_090, 26_692_900),
    "densenet169": (12_501_130, 12_650_980),
    "densenet201": (18_112_138, 18_285_028),
}
OWN = [entry for entry in backbones.ARCHITECTURES.values() if entry.is_own]


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_as_many_parameters_as_their_pytorch_twins(name):
    ten, hundred = PARAMETERS[name]
    model = backbones.get(name).build(weights=None, classes=10, input_shape=(32, 32, 3))
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == ten
    features = model.layers[-1].input.shape[-1]
    assert ten + 90 * (features + 1) == hundred
    assert model.name == name


@pytest.mark.parametrize("architecture", OWN, ids=lambda entry: entry.name)
def test_functions_have_the_signature_of_keras_applications(architecture):
    parameters = inspect.signature(architecture.load_builder()).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "include_top": True,
        "weights": architecture.default_tag,
        "input_shape": None,
        "pooling": None,
        "classes": 10 if architecture.name == "cifar_resnet8" else 1000,
        "classifier_activation": "softmax",
        "name": architecture.name,
    }


def test_a_network_ends_in_a_classifier_pooling_or_a_feature_map():
    options = {"weights": None, "input_shape": (64, 64, 3)}
    resnet = backbones.ResNet18
    assert resnet(include_top=False, **options).output_shape == (None, 2, 2, 512)
    for pooling in ("avg", "max"):
        model = resnet(include_top=False, pooling=pooling, **options)
        assert model.output_shape == (None, 512)
    probabilities = resnet(classes=5, **options)(np.zeros((2, 64, 64, 3), "float32"))
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"include_top": False, "pooling": "mean"}, "pooling='mean'"),
        ({"classes": 0}, "classes=0"),
        ({"input_shape": (31, 32, 3)}, "at least 32 pixels"),
        ({"input_shape": (32, 32)}, "height, width, channels"),
    ],
)
def test_arguments_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.ResNet18(weights=None, **arguments)


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet18", (2, 3)), ("densenet121", (1, 3))]
)
def test_images_may_have_any_size_from_32_pixels(name, expected):
    model = backbones.get(name).build(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    assert model(np.zeros((1, 33, 95, 3), "float32")).shape[1:3] == expected
