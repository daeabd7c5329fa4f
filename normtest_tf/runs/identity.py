"""Whether two runs are the same run, and what differs if they are not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import errors
from normtest_tf.runs.folder import RunFolder
from normtest_tf.runs.record import ConfigRecord

if TYPE_CHECKING:
    import keras


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
    """Returns `name=there, name=now` of each value that two records don't share."""
    return [
        f"{name}={stored.get(name)!r} there, {name}={wanted.get(name)!r} now"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]


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
