import numpy as np
import pytest

from normtest_tf import backbones, normalization

SHAPE = (32, 32, 3)


# One network of each kind that carries its own preprocessing unless told otherwise.
@pytest.mark.parametrize(
    "name", ["keras_mobilenetv3small", "keras_efficientnetv2b0", "keras_convnexttiny"]
)
def test_pretrain_equals_the_preprocessing_inside_keras_models(name):
    architecture = backbones.get(name)
    options = {"weights": None, "include_top": False, "input_shape": SHAPE}
    bare = architecture.build(**options)
    complete = architecture.load_builder()(include_preprocessing=True, **options)
    # The preprocessing comes first and may have constants among its weights.
    weights = bare.get_weights()
    own = complete.get_weights()
    complete.set_weights(own[: len(own) - len(weights)] + weights)
    statistics = architecture.tags["imagenet"].statistics
    layer = normalization.normalization_layer(statistics, SHAPE)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    np.testing.assert_allclose(
        bare(layer(images)), complete(images), rtol=1e-3, atol=1e-4
    )
