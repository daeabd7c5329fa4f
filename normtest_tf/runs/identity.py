"""Whether two runs are the same run, and what differs if they are not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import errors
from normtest_tf.runs.folder import RunFolder
from normtest_tf.runs.record import ConfigRecord, ResultRecord

if TYPE_CHECKING:
    import keras

    from normtest_tf.datasets import ImageDataset
    from normtest_tf.runs.config import RunConfig

# Of weights and statistics: their wording may change between versions.
_DESCRIPTIONS = ("source", "definition", "trained_on", "licence", "url")


def check_request(config: RunConfig) -> None:
    """Checks that a run's folder does not hold a run of another configuration.

    Args:
        config: The run.

    Raises:
        UsageError: If it does; the message shows the differences.
    """
    folder, requested = config.folder, config.resolved.requested
    if not config.overwrite and (folder.is_finished() or folder.is_started()):
        check_same_request(folder, requested)


def finished_result(config: RunConfig, dataset: ImageDataset) -> ResultRecord | None:
    """Returns the result of a run if it is finished.

    Args:
        config: The run.
        dataset: The images of the run, including those that it will hold out.

    Returns:
        The result; None if there is something left to do.

    Raises:
        UsageError: If the folder holds a run of another configuration, or on other
            images or weights.
    """
    check_request(config)
    folder = config.folder
    if config.overwrite or not (folder.is_finished() or folder.is_started()):
        return None
    check_same_inputs(folder, dataset, config.resolved.network.sha256())
    return ResultRecord.read(folder) if folder.is_finished() else None


def check_same_request(folder: RunFolder, requested: Mapping[str, Any]) -> None:
    """Checks that the run in a folder matches the request.

    Args:
        folder: Of a started run.
        requested: From `RunConfig.resolved`.

    Raises:
        UsageError: If it was begun with other values; the message shows them.
    """
    changed = differences(ConfigRecord.read(folder).requested, requested)
    if changed:
        raise holds_another_run(folder, "configuration", changed)


def check_same_inputs(
    folder: RunFolder, dataset: ImageDataset, weights_sha256: str | None
) -> None:
    """Checks that the run in a folder used these images and these weights.

    Files and folders are recorded by name only, and another file may have the same
    name: every file of the Hugging Face Hub is called `model.safetensors`.

    Args:
        folder: Of a started run.
        dataset: The images to train and evaluate on, without the rest of the data
            set; with the images that will be held out for validation.
        weights_sha256: The digest of the weights file, None if there is none.

    Raises:
        UsageError: If it was begun with others; the message says what differs.
    """
    record = ConfigRecord.read(folder)
    if record.data_fingerprint != dataset.fingerprint():
        raise holds_another_run(folder, "data set", data_changes(record, dataset))
    recorded = record.resolved.weights_sha256
    if recorded != weights_sha256:
        changes = [
            f"the weights {record.resolved.weights} have SHA-256 {_short(recorded)} "
            f"there, {_short(weights_sha256)} now"
        ]
        raise holds_another_run(folder, "weights file", changes)


def data_changes(record: ConfigRecord, dataset: ImageDataset) -> list[str]:
    """Says in what the recorded data set and another one differ.

    Args:
        record: The run's.
        dataset: A data set with another fingerprint.

    Returns:
        At least one phrase.
    """
    there = record.resolved
    pairs = {
        "training images": (
            there.train_examples + there.validation_examples,
            len(dataset.train_images),
        ),
        "test images": (there.test_examples, len(dataset.test_images)),
        "image shape": (there.image_shape, dataset.image_shape),
        "classes": (list(there.class_names), list(dataset.class_names)),
    }
    changes = [
        f"{name}: {str(old)[:80]} there, {str(new)[:80]} now"
        for name, (old, new) in pairs.items()
        if old != new
    ]
    return changes or [
        "as many images of the same shape and classes, but other pixels or labels "
        f"(fingerprint {_short(record.data_fingerprint)} there, "
        f"{_short(dataset.fingerprint())} now)"
    ]


def _short(digest: str | None) -> str:
    """Returns the start of a digest, enough to compare by eye."""
    return "none" if digest is None else digest[:12]


def holds_another_run(
    folder: RunFolder, what: str, changed: Sequence[str]
) -> errors.UsageError:
    """Returns the error for a folder that holds another run.

    Args:
        folder: The run's folder.
        what: What differs, such as "configuration".
        changed: From `differences`.
    """
    state = "a finished" if folder.is_finished() else "an unfinished"
    return errors.UsageError(
        f"{folder} holds {state} run with another {what}: {'; '.join(changed)}. "
        "Choose another --results_dir or --seed, or pass --overwrite to replace it"
    )


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns `name=there, name=now` of each value that two records don't share.

    Descriptions, and numbers that an earlier version recorded as text, don't count.
    """
    return [
        f"{name}={stored.get(name)!r} there, {name}={wanted.get(name)!r} now"
        for name in sorted(stored.keys() | wanted.keys())
        if _computed(stored.get(name)) != _computed(wanted.get(name))
    ]


def _computed(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a recorded value without what no computation depends on."""
    if isinstance(value, dict):
        return {k: _computed(v) for k, v in value.items() if k not in _DESCRIPTIONS}
    if isinstance(value, list | tuple):
        return [_as_number(item) for item in value]
    return value


def _as_number(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns text that is a number as that number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def compute(record: ConfigRecord, model: keras.Model) -> dict[str, Any]:
    """Returns what must match before a checkpoint is resumed, ready for JSON.

    Args:
        record: The run's.
        model: The model with its initial weights.
    """
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).data)
    values = record.to_json()
    identity = {
        "format": record.format,
        "data_fingerprint": record.data_fingerprint,
        "initial_weights": digest.hexdigest(),
        **{f"requested {k}": v for k, v in values["requested"].items()},
        **{f"resolved {k}": v for k, v in values["resolved"].items()},
    }
    del identity["resolved class_names"]  # May be many; the fingerprint covers them.
    return json.loads(json.dumps(identity))
