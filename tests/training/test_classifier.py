import subprocess
import sys

import keras
import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.normalization import IMAGENET, MINMAX
from normtest_tf.training import classifier, pytorch_semantics

SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), dtype=np.uint8)


def build(statistics=IMAGENET, model="cifar_resnet8", seed=5, **options):
    return classifier.build_classifier(
        backbones.resolve(model, "none"),
        statistics,
        image_shape=SHAPE,
        num_classes=10,
        seed=seed,
        **options,
    )[0]


def test_resnet18_has_the_references_number_of_parameters():
    model = build(model="resnet18")
    count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert count == 11_181_642


def test_settings_share_all_initial_weights_and_seeds_do_not():
    one, other = build(IMAGENET), build(MINMAX)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    different = build(IMAGENET, seed=6).get_layer("head")
    head = one.get_layer("head")
    assert not np.array_equal(head.kernel, different.kernel)
    assert not np.array_equal(head.kernel[0], head.bias)


def test_head_follows_pytorchs_distribution():
    head = build().get_layer("head")
    bound = 1 / np.sqrt(128)
    assert 0.9 * bound < abs(np.array(head.kernel)).max() <= bound
    assert 0 < abs(np.array(head.bias)).max() <= bound


def test_head_of_a_densenet_starts_without_bias_as_timms():
    head = build(model="densenet121").get_layer("head")
    np.testing.assert_array_equal(head.bias, 0)
    assert abs(np.array(head.kernel)).max() > 0.99 / np.sqrt(1024)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_logits_and_normalization_are_float32_in_mixed_precision(precision):
    model = build(precision=precision)
    assert model(IMAGES).dtype == "float32"
    assert model.get_layer("normalization").dtype_policy.name == "float32"
    assert model.get_layer("head").dtype_policy.name == "float32"
    backbone = model.get_layer("cifar_resnet8")
    assert backbone.get_layer("conv1").dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"


# The second one has inputs in BGR order.
@pytest.mark.parametrize("statistics", [IMAGENET, None])
@pytest.mark.parametrize("model", ["cifar_resnet8", "keras_resnet50"])
def test_a_saved_model_loads_where_this_package_is_not(tmp_path, model, statistics):
    built = build(statistics, model)
    trained = pytorch_semantics.with_pytorch_batch_norm(built)
    built.set_weights(trained.get_weights())
    built.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    program = f"""
import sys
sys.modules["normtest_tf"] = None  # Importing it raises ImportError.
import keras, numpy as np
model = keras.models.load_model(r"{tmp_path / "model.keras"}")
images = np.load(r"{tmp_path / "images.npy"}")
assert images.dtype == np.uint8
np.save(r"{tmp_path / "logits.npy"}", model.predict(images, verbose=0))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    logits = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(
        logits, built.predict(IMAGES, verbose=0), rtol=1e-5, atol=1e-5
    )
