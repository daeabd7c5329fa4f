"""The classifier that runs train and save: parameters, precision, reuse."""

import keras
import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.normalization import IMAGENET, MINMAX, SETTINGS, normalization_layer
from normtest_tf.training import classifier, training_copy
from tests.helpers import programs

TASK = classifier.Task(image_shape=(32, 32, 3), num_classes=10)
IMAGES = np.random.default_rng(0).integers(
    0, 256, (6, *TASK.image_shape), dtype=np.uint8
)


def build(
    statistics=IMAGENET, model="cifar_resnet8", weights="none", seed=5, **options
):
    return classifier.build_classifier(
        backbones.resolve(model, weights),
        normalization_layer(statistics, TASK.image_shape),
        TASK,
        seed=seed,
        **options,
    )


def test_resnet18_has_as_many_parameters_as_in_the_pytorch_study():
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


def test_the_head_follows_pytorchs_distribution():
    head = build().get_layer("head")
    bound = 1 / np.sqrt(128)
    assert 0.9 * bound < abs(np.array(head.kernel)).max() <= bound
    assert 0 < abs(np.array(head.bias)).max() <= bound


def test_the_head_of_a_densenet_starts_without_bias_as_timms_does():
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


def test_a_classifier_in_the_users_file_is_skipped_with_a_note():
    path = backbones.resolve("cifar_resnet8").fetch()
    notes = []
    build(weights=str(path), notify=notes.append)
    assert notes == [f"skipped the classifier 'fc' in {path.name}"]
    build(weights="cifar10", notify=notes.append)
    assert len(notes) == 1  # Skipping a tag's classifier needs no note.


LOAD_WITHOUT_US = """
import sys
sys.modules["normtest_tf"] = None  # Importing it raises ImportError.
import keras, numpy as np
images = np.load("images.npy")
assert images.dtype == np.uint8
for name in sys.argv[1:]:
    model = keras.models.load_model(f"{name}.keras")
    np.save(f"{name}.npy", model.predict(images, verbose=0))
"""


def test_saved_models_load_where_this_package_is_not(tmp_path):
    models = {}
    for name in ("cifar_resnet8", "keras_resnet50"):  # The second one takes BGR.
        network = backbones.resolve(name, "none")
        for setting in ("pretrain", "instance"):
            statistics = SETTINGS[setting].statistics(
                IMAGES, network.pretraining.statistics
            )
            layer = SETTINGS[setting].layer(
                statistics, TASK.image_shape, network.pretraining.channel_order
            )
            model = classifier.build_classifier(network, layer, TASK, seed=5)
            trained = training_copy.make(model)
            model.set_weights(trained.get_weights())
            model.save(tmp_path / f"{name}-{setting}.keras")
            models[f"{name}-{setting}"] = model
    np.save(tmp_path / "images.npy", IMAGES)
    programs.run_code(LOAD_WITHOUT_US, *models, cwd=tmp_path)
    for name, model in models.items():
        logits = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(
            logits, model.predict(IMAGES, verbose=0), rtol=1e-5, atol=1e-5
        )
