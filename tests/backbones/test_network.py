"""What all of our own networks have in common: sizes, tops, arguments."""

import inspect

import numpy as np
import pytest

from normtest_tf import backbones

# With 10 classes; golden parity tests have the other networks.
PARAMETERS = {
    "resnet34": 21_289_802,
    "resnet101": 42_520_650,
    "resnet152": 58_164_298,
    "densenet169": 12_501_130,
    "densenet201": 18_112_138,
}
OWN = [entry for entry in backbones.ARCHITECTURES.values() if entry.is_own]


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
        "classes": 10 if architecture.name == "cifar_resnet8" else 1000,
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
