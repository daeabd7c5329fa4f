"""Where weights files come from, and which module reads them.

Tags are downloaded once and cached, by huggingface_hub or by Keras.
"""

from __future__ import annotations

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from normtest_tf import errors
from normtest_tf.backbones.weights import formats
from normtest_tf.system import files
from normtest_tf.text import Notify

if TYPE_CHECKING:
    import keras

PACKAGE = pathlib.Path(__file__).parent.parent  # Holds the embedded weights.


def load_file(
    model: keras.Model, path: pathlib.Path, notify: Notify = warnings.warn
) -> None:
    """Loads a weights file in the format that its name and content say.

    Args:
        model: The model; its variables are overwritten.
        path: A file of one of `formats.SUFFIXES`.
        notify: Called with a message if the file's classifier was skipped, because
            its size is different or the model has none, and if a prefix was taken off
            the names in it.

    Raises:
        UsageError: If the file can't be read or holds another network's weights. The
            model is then unchanged. Also if a running variance in it is negative.
    """
    from normtest_tf.backbones.weights import h5_files, keras_files, safetensors_files

    loaders = {formats.HDF5: h5_files.load, formats.KERAS: keras_files.load}
    load = loaders.get(formats.identify(path), safetensors_files.load)
    load(model, path, notify)
    check_variances(model, path)


def check_variances(model: keras.Model, path: pathlib.Path) -> None:
    """Checks that no running variance is negative: its root would be NaN.

    Args:
        model: With the weights in a file.
        path: The file.

    Raises:
        UsageError: If one is; the message names its layer.
    """
    import keras
    import numpy as np

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and (
            np.min(layer.moving_variance) < 0
        ):
            raise errors.UsageError(
                f"{path}: the running variance of {layer.name!r} has negative values; "
                "choose other weights"
            )


def fetch(origin: str, name: str) -> pathlib.Path:
    """Finds the local file of a tag, and downloads it if necessary.

    Args:
        origin: `hf:OWNER/NAME` or `package:FILE`; see `Pretraining`.
        name: What error messages call the weights, such as `resnet18.tv_in1k`.

    Returns:
        The path of a `.safetensors` file.

    Raises:
        UsageError: If the file is not cached and can't be downloaded.
        ValueError: If weights from this origin are not fetched here.
    """
    kind, _, location = origin.partition(":")
    if kind == "package":
        return PACKAGE / location
    if kind == "hf":
        return _from_hub(location, name)
    raise ValueError(f"origin must be hf:... or package:... Received: {origin!r}")


def _from_hub(repository: str, name: str) -> pathlib.Path:
    """Returns a file of the Hugging Face Hub, from its cache or downloaded."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    file = formats.HUB_FILE
    with contextlib.suppress(LocalEntryNotFoundError):
        return pathlib.Path(hf_hub_download(repository, file, local_files_only=True))
    if constants.HF_HUB_OFFLINE:
        raise _no_download(name, repository, "HF_HUB_OFFLINE is set")
    if problem := files.host_problem(constants.ENDPOINT):
        raise _no_download(name, repository, problem)
    try:
        return pathlib.Path(hf_hub_download(repository, file))
    except (OSError, ValueError, RuntimeError) as error:
        # The Hub's errors and its transport's derive from these.
        raise _no_download(name, repository, errors.first_cause(error)) from error


@contextlib.contextmanager
def keras_download(name: str) -> Iterator[None]:
    """Turns Keras's errors about a failed download into a `UsageError`.

    Args:
        name: What the error message calls the weights.
    """
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        # `keras.utils.get_file` wraps whatever went wrong in a bare Exception.
        reason = errors.first_cause(error)
        raise _no_download(name, "Keras's storage", reason) from error


def _no_download(name: str, location: str, reason: str) -> errors.UsageError:
    return errors.UsageError(
        f"can't download the weights {name} from {location} ({reason}) and they are "
        "not cached; connect to the internet, name a local file with --weights=PATH, "
        "or start from random weights with --weights=none"
    )
