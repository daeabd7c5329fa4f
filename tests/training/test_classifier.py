"""The classifier that runs train and save: parameters, precision, reuse."""

import keras
import numpy as np

from normtest_tf import backbones
from normtest_tf.normalization import IMAGENET, MINMAX, normalization_layer
from normtest_tf.training import classifier
from tests.training.helpers import SPLIT, small_classifier


def test_settings_share_all_initial_weights_and_seeds_do_not():
    one, other = small_classifier(IMAGENET), small_classifier(MINMAX)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    different = small_classifier(seed=6).get_layer("head")
    head = one.get_layer("head")
    assert not np.array_equal(head.kernel, different.kernel)
    assert not np.array_equal(head.kernel[0], head.bias)
    bound = 1 / np.sqrt(128)  # PyTorch's.
    assert 0.9 * bound < abs(np.array(head.kernel)).max() <= bound
    assert 0 < abs(np.array(head.bias)).max() <= bound


def test_the_head_of_a_densenet_starts_without_bias_as_timms_does():
    head = small_classifier(model="densenet121").get_layer("head")
    np.testing.assert_array_equal(head.bias, 0)
    assert abs(np.array(head.kernel)).max() > 0.99 / np.sqrt(1024)


def test_logits_and_normalization_are_float32_in_mixed_precision():
    precision = "mixed_bfloat16"
    model = small_classifier(precision=precision)
    assert model(SPLIT.images).dtype == "float32"
    assert model.get_layer("normalization").dtype_policy.name == "float32"
    assert model.get_layer("head").dtype_policy.name == "float32"
    backbone = model.get_layer("cifar_resnet8")
    assert backbone.get_layer("conv1").dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"


def test_a_reused_backbone_is_not_drawn_again_and_its_weights_are_reset(monkeypatch):
    """A seed makes TensorFlow drop what it has made of graphs, for seconds."""
    seeds, task = [], classifier.Task((40, 40, 3), 4)  # A size that no other test has.
    monkeypatch.setattr(keras.utils, "set_random_seed", seeds.append)
    for weights, expected in {"cifar10": [1, 3], "none": [1, 2, 3]}.items():
        network = backbones.resolve("cifar_resnet8", weights)
        layer = normalization_layer(IMAGENET, task.image_shape)
        seeds.clear()
        kernels = []
        for seed, precision in enumerate(["float32", "float32", "mixed_bfloat16"], 1):
            options = {"seed": seed, "notify": lambda note: None, "reuse": True}
            options["precision"] = precision
            model = classifier.build_classifier(network, layer, task, **options)
            kernel = model.layers[-2].get_layer("conv1").kernel
            kernels.append(np.array(kernel))
            kernel.assign(kernel + 1)
        assert seeds == expected
        assert np.array_equal(kernels[0], kernels[1]) == (weights == "cifar10")


def test_runs_of_a_kind_share_a_copy_that_computes_what_each_model_does():
    keras.utils.clear_session()  # As before each run: names are the same then.
    copy = classifier.shared(small_classifier(IMAGENET), "all")
    keras.utils.clear_session()
    other = small_classifier(MINMAX, weights="cifar10")
    head = classifier.shared(other, "head")
    assert head is not copy
    assert classifier.shared(other, "all") is copy
    for model in (copy, head):
        logits = model(SPLIT.images)
        np.testing.assert_allclose(logits, other(SPLIT.images), rtol=1e-5, atol=1e-4)
