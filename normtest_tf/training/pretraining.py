"""Training a network of our own from scratch, for weights to fine-tune later."""

from __future__ import annotations

import pathlib

import keras

from normtest_tf import backbones, datasets, normalization, runs, training
from normtest_tf.backbones.weights import safetensors_files
from normtest_tf.training import progress, pytorch_semantics


def pretrain(config: runs.RunConfig) -> tuple[keras.Model, list[dict[str, float]]]:
    """Trains a network with its classifier, on inputs in the set's own statistics.

    Args:
        config: What to train on and how. Weights, normalization setting and
            folder are not looked at.

    Returns:
        The network, from normalised images to logits, and its history, one dict an
        epoch.

    Raises:
        UsageError: If the data can't be used.
    """
    data_seed, model_seed = config.seeds()
    dataset = datasets.load(config.dataset, config.data_dir, config.image_size)
    dataset = dataset.take(config.train_examples, config.test_examples)
    statistics = normalization.channel_statistics(
        dataset.train_images, f"all training images of {dataset.name}"
    )
    print(f"channel mean {statistics.mean}\nchannel std  {statistics.std}")
    keras.utils.set_random_seed(model_seed)
    network = getattr(backbones, backbones.get(config.model).builder)(
        weights=None,
        input_shape=dataset.image_shape,
        classes=dataset.num_classes,
        classifier_activation=None,
    )
    inputs = keras.Input(dataset.image_shape, dtype="uint8")
    normalized = normalization.normalization_layer(statistics, dataset.image_shape)
    model = keras.Model(inputs, network(normalized(inputs)))
    trained = pytorch_semantics.with_pytorch_batch_norm(model)
    recipe = training.Recipe(config.epochs, config.batch_size, config.learning_rate)
    train = training.Split(dataset.train_images, dataset.train_labels)
    test = training.Split(dataset.test_images, dataset.test_labels)
    bar = progress.Progress(config.model, len(train), recipe.batch_size, recipe.epochs)
    rows: list[dict[str, float]] = []

    def on_row(row: dict[str, float]) -> None:
        rows.append(row)
        bar.show(row)

    training.fit(
        trained,
        recipe,
        train,
        {"test": test},
        data_seed=data_seed,
        on_row=on_row,
        callbacks=[bar],
    )
    model.set_weights(trained.get_weights())
    return network, rows


def save(model: keras.Model, path: pathlib.Path, dtype: str) -> None:
    """Writes the network's weights in timm's layout.

    Args:
        model: From `pretrain`.
        path: The `.safetensors` file.
        dtype: `float16` or `float32`.
    """
    safetensors_files.save(model, path, dtype)
