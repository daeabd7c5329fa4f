"""Whether two runs are the same run, and what differs if they are not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs.folder import RunFolder
from normtest_tf.runs.record import ConfigRecord, ResultRecord
from normtest_tf.system import keras_setup
from normtest_tf.training import choices

if TYPE_CHECKING:
    import keras

    from normtest_tf.backbones import PretrainedNetwork
    from normtest_tf.datasets import ImageDataset
    from normtest_tf.runs.config import RunConfig

# Of weights and statistics: their wording may change between versions.
_DESCRIPTIONS = ("source", "definition", "trained_on", "licence", "url")


def check_request(config: RunConfig) -> ConfigRecord | None:
    """Returns the record of the run in a folder, None if there is none to keep.

    Raises `UsageError` if it is of another configuration, and shows what differs.
    """
    folder = config.folder
    if config.overwrite or not (folder.is_finished() or folder.is_started()):
        return None
    record = ConfigRecord.read(folder)
    # A backend rounds in its own way, and draws a whole network's initial weights.
    refuse_another_run(
        folder,
        "configuration",
        record.requested | {"KERAS_BACKEND": record.environment["backend"]},
        config.resolved.requested | {"KERAS_BACKEND": keras_setup.backend()},
    )
    return record


def finished_result(config: RunConfig, dataset: ImageDataset) -> ResultRecord | None:
    """Returns the result of a run; None if there is something left to do.

    Raises `UsageError` if the folder holds another run, or one on other images (those
    held out included) or weights, or augmented otherwise, or a file is missing.
    """
    record = check_request(config)
    if record is None:
        return None
    folder = config.folder
    _check_inputs(config, record, dataset)
    if not folder.is_finished():
        return None
    for path in (folder.model, folder.history):
        if not path.is_file():
            raise errors.UsageError(
                f"{path} of a finished run is missing. Restore it, or pass --overwrite "
                "to run again"
            )
    return ResultRecord.read(folder)


def _check_inputs(
    config: RunConfig, record: ConfigRecord, dataset: ImageDataset
) -> None:
    """Checks what a request does not tell, or tells by a name that others may have.

    Every weights file of the Hugging Face Hub is called `model.safetensors`.
    """
    then, size = record.resolved, record.resolved.image_shape[0]
    augmentation = choices.resolve_augmentation(config.augmentation, size)
    digests = (then.weights_sha256, config.resolved.network.sha256())
    examples = then.train_examples + then.validation_examples
    fingerprints = (record.data_fingerprint, dataset.fingerprint())
    values = {  # There, and now; the start of a digest is enough to compare by eye.
        "training images": (examples, len(dataset.train_images)),
        "test images": (then.test_examples, len(dataset.test_images)),
        "image shape": (then.image_shape, dataset.image_shape),
        "classes": (len(then.class_names), dataset.num_classes),
        "fingerprint of the images": [digest[:12] for digest in fingerprints],
        f"SHA-256 of the weights {then.weights}": [one and one[:12] for one in digests],
        "augmentation": (then.augmentation, augmentation),
        "padding": (then.padding, choices.padding(augmentation, size)),
    }
    there, now = ({name: pair[i] for name, pair in values.items()} for i in (0, 1))
    refuse_another_run(config.folder, "data set, weights or augmentation", there, now)


def refuse_another_run(
    folder: RunFolder, what: str, there: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises `UsageError` if a folder holds a run of another `what`."""
    if changed := differences(there, now):
        state = "a finished" if folder.is_finished() else "an unfinished"
        raise errors.UsageError(
            f"{folder} holds {state} run with another {what}: {'; '.join(changed)}. "
            "Choose another --results_dir or --seed, or pass --overwrite to replace it"
        )


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns `name=there, name=now` of the values, not descriptions, that differ."""
    return [
        f"{name}={stored.get(name)!r} there, {name}={wanted.get(name)!r} now"
        for name in sorted(stored.keys() | wanted.keys())
        if _computed(stored.get(name)) != _computed(wanted.get(name))
    ]


def _computed(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a recorded value without what no computation depends on."""
    if not isinstance(value, dict):
        return value
    return {k: _computed(v) for k, v in value.items() if k not in _DESCRIPTIONS}


def statistics_note(
    network: PretrainedNetwork, statistics: ChannelStatistics | None
) -> str | None:
    """Says which flags normalise as the run that weights come from did, if not these.

    None unless inputs are normalised with what the weights are assumed to be
    pre-trained with, and the weights are those of a run that had other constants.
    """
    if network.path is None or statistics != network.pretraining.statistics:
        return None
    folder = RunFolder(network.path.parent)
    if statistics is None or network.path != folder.model:
        return None
    try:
        there = ConfigRecord.read(folder).resolved.statistics
    except errors.UsageError:
        return None
    if there is None:
        return None
    theirs, ours = [there.mean, there.std], [statistics.mean, statistics.std]
    if np.allclose(theirs, ours, rtol=1e-4, atol=1e-5):  # Flags leave out digits.
        return None
    mean, std = (",".join(f"{x:.6g}" for x in xs) for xs in (there.mean, there.std))
    return (
        f"the run in {folder} normalised its inputs with mean {mean} and std {std}; to "
        f"do the same, pass --pretrain_mean={mean} --pretrain_std={std}"
    )


def compute(record: ConfigRecord, model: keras.Model) -> dict[str, Any]:
    """Returns what must match before a checkpoint is resumed, ready for JSON."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).data)
    values = record.to_json()
    del values["resolved"]["class_names"]  # Many, perhaps; the fingerprint has them.
    identity = {
        "format": record.format,
        "data_fingerprint": record.data_fingerprint,
        "initial_weights": digest.hexdigest(),
        **{f"requested {k}": v for k, v in values["requested"].items()},
        **{f"resolved {k}": v for k, v in values["resolved"].items()},
    }
    return json.loads(json.dumps(identity))
