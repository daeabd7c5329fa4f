"""The copy of a model that is trained: PyTorch's semantics, and faster layers.

The copy computes what the model computes and has the same variables in the same order,
but its layers are not stock Keras layers. What it has learned goes back into the model,
which is what is saved:

```python
trained = training_copy.make(model)
...
model.set_weights(trained.get_weights())
```
"""

from __future__ import annotations

import keras

from normtest_tf.training.layers.batch_norm import BatchNormalization
from normtest_tf.training.layers.convolution import NO_BORDER, Border, Convolution

# A subclass may compute something else.
_REPLACED: dict[type, type[keras.layers.Layer]] = {
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.Conv2D: Convolution,
}


def make(model: keras.Model) -> keras.Model:
    """Copies a model for training.

    Args:
        model: A functional or sequential model, perhaps with models among its layers.

    Returns:
        The copy, with the same weights. Its batch normalization trains as PyTorch's,
        and its convolutions of small maps are matrix products.
    """
    padding: dict[int, Border] = {}  # By the id of a padding layer's output.

    def call(
        layer: keras.layers.Layer, *args: object, **kwargs: object
    ) -> keras.KerasTensor:
        outputs = layer(*args, **kwargs)
        if type(layer) is keras.layers.ZeroPadding2D:
            padding[id(outputs)] = layer.padding
        elif isinstance(layer, Convolution):
            layer.add_border(padding.get(id(args[0]), NO_BORDER))
        return outputs

    copy = keras.models.clone_model(
        model,
        clone_function=_clone,
        call_function=None if isinstance(model, keras.Sequential) else call,
        recursive=True,
    )
    copy.set_weights(model.get_weights())
    return copy


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer of the copy."""
    replacement = _REPLACED.get(type(layer))
    if replacement is None:
        replacement = type(layer)
    return replacement.from_config(layer.get_config())
