"""Two devices train as one does: weights, losses, accuracies, whole runs."""

import keras
import numpy as np
import pytest

from experiments.support import fault_campaign
from normtest_tf import runs
from normtest_tf.runs import ConfigRecord
from normtest_tf.training import choices, pipeline
from tests.helpers import programs

PROGRAM = "from tests.helpers import parallel_training; parallel_training.main()"


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(request, tmp_path_factory):
    """All trainings of one backend: their values, and the folder of the runs."""
    pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    output = folder / "found.npz"
    programs.run_code(PROGRAM, output, folder, env={"KERAS_BACKEND": request.param})
    with np.load(output) as file:
        return request.param, dict(file), folder


def values_of(found, name):
    return {
        key.removeprefix(f"{name} "): value
        for key, value in found.items()
        if key.startswith(f"{name} ")
    }


def test_two_devices_train_and_evaluate_as_one(trained):
    backend, found, _ = trained
    if backend != "tensorflow":
        pytest.skip("JAX has no other case for a single image than for five")
    one, two = values_of(found, "one"), values_of(found, "two")
    assert one.keys() == two.keys()
    for name, values in two.items():
        if name.endswith("accuracy"):
            np.testing.assert_array_equal(values, one[name], name)
        else:
            np.testing.assert_allclose(values, one[name], 1e-5, 1e-6, err_msg=name)


def results_of(folder, name):
    config = runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        recalibrate=True,
        results_dir=str(folder / name),
    )
    return config.folder, fault_campaign.outcome(config)


def test_a_resumed_run_on_two_devices_ends_as_one_on_one(trained):
    _, _, folder = trained
    one_folder, (one_rows, one_weights, one_chosen, _) = results_of(folder, "one")
    two_folder, (two_rows, two_weights, two_chosen, _) = results_of(folder, "resumed")
    assert one_chosen == two_chosen
    for one, two in zip(one_rows, two_rows, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(one_weights, two_weights, strict=True):
        one, two = np.frombuffer(one, "float32"), np.frombuffer(two, "float32")
        np.testing.assert_allclose(two, one, 1e-4, 1e-5)
    devices = [
        ConfigRecord.read(folder).environment["devices"]
        for folder in (one_folder, two_folder)
    ]
    assert devices == [1, 2]


def test_a_run_on_two_devices_is_resumed_exactly(trained):
    backend, _, folder = trained
    if backend != "tensorflow":
        pytest.skip("the test above has seen the resumed run")
    assert results_of(folder, "resumed")[1] == results_of(folder, "two")[1]


def test_each_device_normalises_with_statistics_of_its_share(trained):
    backend, found, _ = trained
    own = values_of(found, "own")
    # On JAX, statistics are the whole batch's.
    expected = trained_by_numpy(shares=2 if backend == "tensorflow" else 1)
    for index, values in enumerate(expected):
        np.testing.assert_allclose(own[f"weight{index}"], values, 1e-5, 1e-6)


def test_each_device_computes_its_share_alone(trained):
    backend, found, _ = trained
    # Batches of eight, and a last one of five, which JAX can't divide.
    expected = [2, 3, 4] if backend == "tensorflow" else [4, 5]
    assert list(values_of(found, "spied")["sizes"]) == expected


def trained_by_numpy(shares):
    """Returns scale, offset, mean, variance, kernel and bias after the training.

    Args:
        shares: Into how many parts with statistics of their own a batch is divided.
    """
    from tests.helpers import parallel_training as setting

    data = setting.split(setting.OWN_EXAMPLES, setting.SHAPE, setting.CLASSES)
    batches = pipeline.training_batches(
        data.images,
        data.labels,
        batch_size=setting.OWN.batch_size,
        seed=5,
        epochs=range(setting.OWN.epochs),
        augmentation=choices.NONE,
    )
    kernel = np.zeros((int(np.prod(setting.SHAPE)), setting.CLASSES))
    weights = [np.ones(3), np.zeros(3), kernel, np.zeros(setting.CLASSES)]
    speeds = [np.zeros_like(values) for values in weights]
    running = np.array([np.zeros(3), np.ones(3)])
    steps = -(-setting.OWN_EXAMPLES // setting.OWN.batch_size)
    for step, (images, labels) in enumerate(batches.as_numpy_iterator()):
        cuts = [len(labels) * share // shares for share in range(1, shares)]
        parts = zip(np.split(images, cuts), np.split(labels, cuts), strict=True)
        rate = setting.OWN.learning_rate * (0.5 if step >= steps else 1)
        gradients = [np.zeros_like(values) for values in weights]
        statistics = np.zeros_like(running)
        for part in parts:
            weight = len(part[1]) / len(labels)
            of_part, batch = step_by_numpy(weights, *part)
            for gradient, values in zip(gradients, of_part, strict=True):
                gradient += weight * values
            statistics += weight * batch
        speeds = [0.9 * s - rate * g for s, g in zip(speeds, gradients, strict=True)]
        weights = [w + s for w, s in zip(weights, speeds, strict=True)]
        running = setting.MOMENTUM * running + (1 - setting.MOMENTUM) * statistics
    scale, offset, kernel, bias = weights
    return scale, offset, *running, kernel, bias


def step_by_numpy(weights, images, labels):
    """Returns the gradients of a share's mean loss, and mean and unbiased variance."""
    from tests.helpers.parallel_training import EPSILON

    scale, offset, kernel, bias = weights
    pixels = images / 255
    mean, variance = pixels.mean((0, 1, 2)), pixels.var((0, 1, 2))
    normalised = (pixels - mean) / np.sqrt(variance + EPSILON)
    features = (normalised * scale + offset).reshape(len(images), -1)
    logits = features @ kernel + bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    errors = powers / powers.sum(1, keepdims=True) - np.eye(len(bias))[labels]
    errors /= len(labels)
    slopes = (errors @ kernel.T).reshape(normalised.shape)
    gradients = [
        (slopes * normalised).sum((0, 1, 2)),
        slopes.sum((0, 1, 2)),
        features.T @ errors,
        errors.sum(0),
    ]
    return gradients, np.array([mean, pixels.var((0, 1, 2), ddof=1)])


def test_the_model_of_two_devices_needs_no_strategy(trained):
    _, _, folder = trained
    path = results_of(folder, "resumed")[0].model
    logits = keras.models.load_model(path)(np.zeros((1, 32, 32, 3), "uint8"))
    assert np.isfinite(keras.ops.convert_to_numpy(logits)).all()
