"""What a diagnosis is made from, and what makes it impossible or doubtful."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import CONTROL, SETTINGS, ChannelStatistics
from normtest_tf.normalization import get as get_setting

if TYPE_CHECKING:
    import keras

# These change the network rather than its inputs, which is all that is looked at here.
CHANGES_NETWORK = ("finetune_folded",)
SAME_AS_CONTROL = ("pretrain_again",)  # Looked at only if it is asked for.
DEFAULT_SETTINGS = tuple(
    name for name in SETTINGS if name not in (*CHANGES_NETWORK, *SAME_AS_CONTROL)
)
FEW_IMAGES = 64
FAR = 3.0  # Means of normalised images beyond it are suspicious.
WIDE = 5.0  # So are standard deviations above it or below its inverse.
NO_BATCH_NORM = (
    "the network has no batch normalization: there are no stored statistics to compare "
    "with or to re-estimate, and only one mode; channel statistics, the split and the "
    "features' displacement are reported"
)


def names_of(settings: str | Sequence[str] | None) -> list[str]:
    """Returns the settings to look at, the control first.

    Args:
        settings: Names, or one name. None for all but those that a diagnosis can't
            tell from the control.

    Raises:
        UsageError: If a name is unknown, or its setting changes the network.
    """
    if settings is None:
        settings = DEFAULT_SETTINGS
    names = [settings] if isinstance(settings, str) else list(settings)
    for name in names:
        get_setting(name)
        if name in CHANGES_NETWORK:
            raise errors.UsageError(
                f"{name} changes the network, not only its inputs; leave it out. Its "
                "function is the control's, but for the border"
            )
    return list(dict.fromkeys([CONTROL, *names]))


def check_options(examples: int, batch_size: int, channel_order: str) -> None:
    """Checks how images are to be looked at.

    Raises:
        UsageError: If a number is not whole or too small, or the order is unknown.
    """
    check_count("examples", examples, 1)
    check_count("batch_size", batch_size, 2)
    if channel_order not in ("rgb", "bgr"):
        raise errors.UsageError(
            f"channel_order must be 'rgb' or 'bgr'. Received: {channel_order!r}"
        )


def check_count(name: str, value: int, least: int) -> None:
    """Raises `UsageError` unless a value is a whole number and large enough."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise errors.UsageError(
            f"{name} must be a whole number, at least {least}. Received: {value!r}"
        )


def check_statistics(statistics: ChannelStatistics) -> None:
    """Checks the statistics of pre-training.

    Raises:
        UsageError: If they are no `ChannelStatistics`, are not finite, a std is not
            above 0, or they are of pixels from 0 to 255.
    """
    if not isinstance(statistics, ChannelStatistics):
        raise errors.UsageError(
            "pretraining must be ChannelStatistics(mean, std, definition, source). "
            f"Received: {type(statistics).__name__}"
        )
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    shown = f"mean {statistics.mean}, std {statistics.std}"
    if mean.shape != (3,) or std.shape != (3,):
        raise errors.UsageError(
            f"statistics must be of three channels. Received: {shown}"
        )
    if not (np.all(np.isfinite([mean, std])) and np.all(std > 0)):
        raise errors.UsageError(
            f"statistics must be finite, and each std above 0. Received: {shown}"
        )
    if np.any(mean > 1.5):
        raise errors.UsageError(
            "statistics must be of pixels scaled to [0, 1]. Received: "
            f"{shown}, which look like those of pixels from 0 to 255; divide by 255"
        )


def check_images(images: np.ndarray) -> None:
    """Checks that there are at least two images that differ.

    Raises:
        UsageError: If there are not.
    """
    if len(images) < 2:
        raise errors.UsageError(
            "a diagnosis compares features over images, so it needs at least 2, better "
            f"{FEW_IMAGES} or more. Received: {len(images)}"
        )
    if all(np.array_equal(images[0], other) for other in images[1:]):
        raise errors.UsageError(
            f"a diagnosis needs images that differ. Received: {len(images)} equal ones"
        )


def check_model(model: keras.Model) -> None:
    """Checks that a model can be looked into.

    Raises:
        UsageError: If it can't, because of its kind, its input or one of its layers.
    """
    import keras

    kind = type(model).__name__
    if isinstance(model, keras.Sequential) and not model.built:
        raise errors.UsageError(
            "model must be built. Received: a Sequential without an input; begin it "
            "with keras.Input((height, width, 3))"
        )
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise errors.UsageError(
            "model must be a built functional or sequential Keras model. Received: "
            f"{kind}"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise errors.UsageError(
            "model must have one input and one output. Received: "
            f"{len(model.inputs)} and {len(model.outputs)}"
        )
    entry = model.inputs[0]
    if len(entry.shape) != 4 or entry.shape[-1] != 3:
        first = len(entry.shape) == 4 and entry.shape[1] == 3
        advice = ", channels first; build it with channels last" if first else ""
        raise errors.UsageError(
            "model must take images [n, height, width, 3]. Received: one that takes "
            f"{list(entry.shape)}{advice}"
        )
    if "float" not in keras.backend.standardize_dtype(entry.dtype):
        raise errors.UsageError(
            f"model must take normalised float images. Received: one that takes "
            f"{entry.dtype}; pass the part of it behind the normalization"
        )
    _check_layers(model)


def _check_layers(model: keras.Model) -> None:
    """Raises `UsageError` for layers that can't be copied or looked into."""
    import keras

    from normtest_tf.backbones import copies

    seen = {id(layer) for layer in copies.leaves(model)}
    for layer in model._flatten_layers():
        what = f"the model's layer {layer.name!r}"
        if isinstance(layer, keras.Model) and not getattr(layer, "inputs", None):
            raise errors.UsageError(
                f"{what} is a subclassed model, {type(layer).__name__}, whose layers "
                "can't be looked into; make it a functional model"
            )
        if isinstance(layer, keras.layers.Lambda):
            raise errors.UsageError(
                f"{what} is a Lambda, which can't be copied; use keras.ops or a layer "
                "class instead"
            )
        if getattr(layer, "data_format", None) == "channels_first":
            raise errors.UsageError(
                f"{what} computes with channels first; build the model with "
                "data_format='channels_last'"
            )
        norm = isinstance(layer, keras.layers.BatchNormalization)
        if norm and id(layer) not in seen:
            raise errors.UsageError(
                f"{what} is a batch normalization inside a layer of another kind, "
                "where it can't be looked into; make that layer a functional model"
            )


def check_size(model: keras.Model, images: np.ndarray) -> None:
    """Checks that the model takes images of this size.

    Args:
        model: Accepted by `check_model`.
        images: uint8 `[n, height, width, 3]`.

    Raises:
        UsageError: If it takes another.
    """
    wanted = tuple(model.inputs[0].shape[1:3])
    sides = images.shape[1:3]
    if any(side not in (None, own) for side, own in zip(wanted, sides, strict=False)):
        raise errors.UsageError(
            f"the model takes images of {'x'.join(map(str, wanted))}. Received: "
            f"{'x'.join(map(str, sides))}; resize them, or build the model for them"
        )


def notes_on(
    layers: Sequence[str], images: np.ndarray, labels: np.ndarray | None
) -> list[str]:
    """Returns what limits the diagnosis."""
    notes = []
    if not layers:
        notes.append(NO_BATCH_NORM)
    if len(images) < FEW_IMAGES:
        notes.append(
            f"only {len(images)} images: statistics and displacements are rough; pass "
            f"{FEW_IMAGES} or more"
        )
    if labels is None:
        notes.append(
            "no labels, so no linear probe: frozen backbones are judged less well"
        )
    constant = [
        name
        for channel, name in enumerate(("red", "green", "blue"))
        if np.ptp(images[..., channel]) == 0
    ]
    if constant:
        notes.append(f"constant over all images: {', '.join(constant)}")
    elif np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(
        images[..., 1], images[..., 2]
    ):
        notes.append(
            "the images are grey: constants per channel can't give them colours, so no "
            "setting makes them what the network was pre-trained with"
        )
    return notes


def notes_on_preprocessing(names: Sequence[str]) -> list[str]:
    """Says that a model normalises its inputs itself.

    Args:
        names: Of the layers and operations that do.
    """
    if not names:
        return []
    return [
        f"the model normalises its inputs itself, in {' and '.join(names)}, after the "
        "setting does: what is found holds for images that are normalised twice. Pass "
        "the part of the model behind these layers; or, if it takes pixels from 0 to "
        "255, pretraining statistics of mean 0 and std 1/255 give it exactly these "
        f"under {CONTROL}"
    ]


def notes_on_parts(
    has_border: bool, treatment: str, parts: Mapping[str, object]
) -> list[str]:
    """Returns what the split of a difference lacks."""
    if not parts:
        return [f"{treatment} has no constants, so its difference can't be split"]
    if not has_border:
        return [
            "the network does not start with one plain convolution, so the border's "
            "part can't be told from the shift's"
        ]
    return []


def note_on_inputs(
    name: str, mean: np.ndarray, std: np.ndarray, control: str
) -> list[str]:
    """Says if normalised images look as if the constants were those of other images.

    Args:
        name: The setting.
        mean: Of each channel of the normalised images.
        std: Likewise.
        control: The setting whose constants the user states.
    """
    is_far = np.any(np.abs(mean) > FAR)
    is_wide = np.any((std > WIDE) | (std < 1 / WIDE))
    if name != control or not (is_far or is_wide):
        return []
    return [
        f"under {name}, channels have means {_listed(mean)} and stds {_listed(std)}, "
        "where 0 and 1 were expected: the statistics of pre-training contradict the "
        "images; check them (for pixels from 0 to 1, mean first) and the images' range"
    ]


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


EXAMPLES = 512  # Images used, unless told otherwise.
MAX_PIXELS = 2**19  # In a batch: 512 images of 32x32, 10 of 224x224.


def collect(
    images: Any,  # noqa: ANN401  (an array, or anything that yields tensors)
    labels: np.ndarray | None = None,
    examples: int = EXAMPLES,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images of what the user passed, and their labels.

    Args:
        images: uint8 `[n, height, width, 3]`, or a `tf.data.Dataset` (or another
            iterable) of images or of (image, label), batched or not. Other dtypes are
            accepted where all values are whole numbers from 0 to 255.
        labels: int `[n]`, for an array or a list of all images.
        examples: How many to use at most.

    Returns:
        uint8 `[n, height, width, 3]` and int64 `[n]`, or None without labels.

    Raises:
        UsageError: If they are something else, or there are none.
    """
    check_count("examples", examples, 1)
    if _is_array(images):
        found = np.asarray(images[:examples] if len(images.shape) else images)
        total = len(images) if found.ndim else 0
    else:
        total, found, labels = _from_iterable(images, labels, examples)
    found = pixels(found)
    if labels is not None:
        labels = _checked_labels(labels, total)[:examples]
    return found, labels


def _is_array(value: Any) -> bool:  # noqa: ANN401  (a user's)
    return hasattr(value, "shape") and hasattr(value, "__array__")


def _from_iterable(
    elements: Any,  # noqa: ANN401  (a user's)
    labels: np.ndarray | None,
    examples: int,
) -> tuple[int, np.ndarray, np.ndarray | None]:
    """Returns how many images were counted, the first ones, and labels for all."""
    texts = (str, bytes, os.PathLike, Mapping)
    if isinstance(elements, texts) or not isinstance(elements, Iterable):
        raise errors.UsageError(
            "images must be a uint8 array [n, height, width, 3] or a tf.data.Dataset. "
            f"Received: {type(elements).__name__}"
        )
    if labels is not None and not isinstance(elements, list | tuple):
        raise errors.UsageError(
            "labels are for an array of images; a data set must yield (image, label). "
            "Received: both a data set and labels"
        )
    found: list[np.ndarray] = []
    classes: list[Any] = []
    count = 0
    for element in _read(elements):
        parts = element if isinstance(element, tuple | list) else (element,)
        block = _block(parts)
        if found and block.shape[1:] != found[0].shape[1:]:
            raise errors.UsageError(
                "all images must have one size. Received: "
                f"{found[0].shape[1:]} and {block.shape[1:]}; resize them first"
            )
        if count < examples:
            found.append(block)
        classes += [np.atleast_1d(np.asarray(part)) for part in parts[1:2]]
        count += len(block)
        if count >= examples and labels is None:
            break
    if not found:
        raise errors.UsageError("images must not be empty. Received: no images")
    if labels is None and classes:
        labels = np.concatenate(classes)
    return count, np.concatenate(found)[:examples], labels


def _read(elements: Iterable[Any]) -> Iterator[Any]:
    """Yields the elements of a data set; what it raises becomes a `UsageError`."""
    try:
        yield from elements
    except Exception as error:  # A user's own functions raise what they like.
        raise errors.UsageError(
            f"can't read the data set of images ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """Returns what went wrong; TensorFlow buries what a mapped function raised."""
    found = re.findall(r"^\w*(?:Error|Exception): .+", str(error), re.MULTILINE)
    return found[-1][:200] if found else errors.first_cause(error)


def _block(parts: Sequence[Any]) -> np.ndarray:
    """Returns the images of an element, `[b, height, width, 3]`."""
    if not parts or isinstance(parts[0], Mapping):
        names = ", ".join(repr(name) for name in parts[0]) if parts else "nothing"
        raise errors.UsageError(
            "a data set must yield images or (image, label). Received: dictionaries "
            f"with {names}; map them to tuples first"
        )
    block = np.asarray(parts[0])
    if block.ndim not in (3, 4):
        raise errors.UsageError(
            "a data set must yield RGB images [height, width, 3], or batches of them. "
            f"Received: {block.dtype}, shape {list(block.shape)}"
        )
    return block[None] if block.ndim == 3 else block


def pixels(
    images: Any,  # noqa: ANN401  (a user's)
    name: str = "images",
) -> np.ndarray:
    """Returns an array of images as uint8, if that is what their values are.

    Args:
        images: uint8 `[n, height, width, 3]`, or another dtype where all values are
            whole numbers from 0 to 255.
        name: What they are called in messages.

    Raises:
        UsageError: If they are something else, or there are none.
    """
    if not _is_array(images):
        raise errors.UsageError(
            f"{name} must be a uint8 array [n, height, width, 3]. Received: "
            f"{type(images).__name__}"
        )
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise errors.UsageError(
            f"{name} must be RGB, uint8 [n, height, width, 3], n at least 1. Received: "
            f"shape {list(images.shape)}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255, uint8. Received: {images.dtype}"
        )
    if not np.all(np.isfinite(images)):
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255. Received: values that are not finite"
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 255 or np.any(images != np.round(images)):
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255, not yet normalised. Received: "
            f"{images.dtype} from {low:.3g} to {high:.3g}"
        )
    if high <= 1:
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255. Received: "
            f"{images.dtype} with only {low:.0f} and {high:.0f}; multiply them by 255"
        )
    return images.astype(np.uint8)


def _checked_labels(
    labels: Any,  # noqa: ANN401  (a user's)
    images: int,
) -> np.ndarray:
    """Returns class numbers `[n]`; one-hot rows are turned into them."""
    kind = type(labels).__name__
    try:
        labels = np.asarray(labels)
    except ValueError as error:  # Rows of several lengths.
        raise errors.UsageError(
            f"labels must be class numbers, int [n]. Received: {kind}"
        ) from error
    if labels.dtype.kind not in "biuf" or not labels.ndim:
        raise errors.UsageError(
            "labels must be class numbers, int [n]. Received: "
            f"{kind}, dtype {labels.dtype}"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    rows = labels.reshape(len(labels), -1) if labels.size else labels
    if rows.shape != (images, 1) or not np.all(rows == np.round(rows)):
        raise errors.UsageError(
            f"labels must be one class number for each of the {images} images. "
            f"Received: shape {list(labels.shape)}, dtype {labels.dtype}"
        )
    return rows[:, 0].astype(np.int64)


def batch_size_for(image_shape: tuple[int, ...], batch_size: int) -> int:
    """Returns the images of a batch, fewer where they are large: memory is bounded.

    Args:
        image_shape: Height, width and 3.
        batch_size: How many there should be.
    """
    pixels = math.prod(image_shape[:2])
    return max(min(batch_size, 4), min(batch_size, MAX_PIXELS // pixels))
