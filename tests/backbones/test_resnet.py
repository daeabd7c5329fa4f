import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.backbones import weights
from tests.helpers import numpy_resnet

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 32),
        ("resnet18", 47),
        ("cifar_resnet8", 32),
        ("cifar_resnet8_gn", 32),
    ],
)
def test_resnets_equal_their_definition_in_numpy(name, size):
    """Independent of Keras: convolutions from PyTorch's formulas, in float64."""
    model = backbones.get(name).build(
        weights=None, classes=7, input_shape=(size, size, 3), classifier_activation=None
    )
    model.set_weights([RNG.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    variables = weights.variables_by_tensor(model)
    tensors = {
        tensor: weights.to_pytorch(np.array(variable)).astype("float64")
        for tensor, variable in variables.items()
    }
    # Both signs, so that the ReLUs matter.
    for tensor, values in tensors.items():
        if values.ndim > 1:
            values *= RNG.choice([-1, 1], values.shape)
            variables[tensor].assign(weights.from_pytorch(values))
    images = RNG.normal(size=(2, size, size, 3))
    expected = numpy_resnet.forward(tensors, images, cifar=name != "resnet18")
    logits = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(
        logits, expected, rtol=2e-4, atol=2e-4 * abs(expected).max()
    )


def test_residual_branches_start_at_0():
    for build, last in [(backbones.CifarResNet8, "bn2"), (backbones.ResNet50, "bn3")]:
        model = build(weights=None, input_shape=(32, 32, 3), include_top=False)
        for layer in model.layers:
            if layer.name.startswith("layer") and "_bn" in layer.name:
                assert bool(np.any(layer.gamma)) != layer.name.endswith(last)
