"""Networks of Keras Applications as backbones, without their classifiers."""

from __future__ import annotations

import warnings

import keras

from normtest_tf.backbones import registry
from normtest_tf.backbones.weights import sources


def build(
    source: sources.Source, input_shape: tuple[int, int, int]
) -> tuple[keras.Model, list[str]]:
    """Builds one of Keras's networks as a feature extractor.

    Args:
        source: Which network, and where its weights come from.
        input_shape: Height, width and 3.

    Returns:
        The model, from images in its own pre-training normalization to pooled
        features `[n, features]`, and sentences on what was left out of a file.

    Raises:
        UsageError: If the weights can't be had or used.
    """
    entry = registry.get(source.architecture)
    builder = getattr(keras.applications, entry.builder)
    arguments = {
        "include_top": False,
        "input_shape": input_shape,
        "pooling": "avg",
        **entry.options,
    }
    if source.tag is None:
        model = builder(weights=None, **arguments)
        return model, [] if source.path is None else sources.load(model, source)
    try:
        with warnings.catch_warnings():
            # MobileNets say that their weights are those for 224x224 images.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined")
            return builder(weights=source.tag, **arguments), []
    except ValueError:
        raise
    except Exception as error:
        # `keras.utils.get_file` wraps what went wrong in a bare Exception.
        raise sources.keras_download(source, error) from error
