"""What makes a diagnosis impossible, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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

    from normtest_tf.backbones import layers

    seen = {id(layer) for layer in layers.leaves(model)}
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
