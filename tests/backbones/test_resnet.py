import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.backbones import timm_layout
from tests.helpers import numpy_resnet

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 32), ("resnet18", 47), ("cifar_resnet8", 32)]
)
def test_resnets_equal_their_definition_in_numpy(name, size):
    """Independent of Keras: convolutions from PyTorch's formulas, in float64."""
    model = backbones.get(name).build(
        weights=None, classes=7, input_shape=(size, size, 3), classifier_activation=None
    )
    model.set_weights([RNG.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    variables = timm_layout.variables_by_tensor(model)
    tensors = {
        tensor: timm_layout.to_pytorch(np.array(variable)).astype("float64")
        for tensor, variable in variables.items()
    }
    # Both signs, so that the ReLUs matter.
    for tensor, values in tensors.items():
        if values.ndim > 1:
            values *= RNG.choice([-1, 1], values.shape)
            variables[tensor].assign(timm_layout.from_pytorch(values))
    images = RNG.normal(size=(2, size, size, 3))
    expected = numpy_resnet.forward(tensors, images, cifar=name == "cifar_resnet8")
    logits = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(
        logits, expected, rtol=2e-4, atol=2e-4 * abs(expected).max()
    )


def test_residual_branches_start_at_0():
    for build, last in [(backbones.ResNet34, "bn2"), (backbones.ResNet50, "bn3")]:
        model = build(weights=None, input_shape=(32, 32, 3), include_top=False)
        for layer in model.layers:
            if layer.name.startswith("layer") and "_bn" in layer.name:
                assert bool(np.any(layer.gamma)) != layer.name.endswith(last)


def test_fresh_convolutions_are_normal_by_fan_out_as_in_timm():
    model = backbones.ResNet50(weights=None, input_shape=(32, 32, 3), include_top=False)
    kernel = np.array(model.get_layer("layer1_0_conv3").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / 256), rel=0.05)
    # A truncated distribution would end at two standard deviations.
    assert abs(kernel).max() > 3 * kernel.std()


def test_a_fresh_classifier_is_uniform_as_in_timm():
    model = backbones.ResNet18(weights=None, input_shape=(32, 32, 3))
    linear = model.get_layer("fc")
    bound = 1 / np.sqrt(512)
    for weight in (linear.kernel, linear.bias):
        assert 0.99 * bound < abs(np.array(weight)).max() <= bound


def test_embedded_weights_load_into_every_top():
    ten = backbones.CifarResNet8()
    features = backbones.CifarResNet8(include_top=False, pooling="avg")
    np.testing.assert_array_equal(
        ten.get_layer("conv1").kernel, features.get_layer("conv1").kernel
    )
    with pytest.warns(UserWarning, match="skipped the classifier 'fc'"):
        other = backbones.CifarResNet8(classes=4)
    assert other.output_shape == (None, 4)
