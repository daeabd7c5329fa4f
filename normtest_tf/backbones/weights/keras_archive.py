"""A `.keras` file: what it says of its model, and the model, loaded without its code.

Importing this module does not import Keras.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import pathlib
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from normtest_tf import errors
from normtest_tf.backbones.weights import local_files

if TYPE_CHECKING:
    import keras

_WEIGHTS = "model.weights."  # The start of a member's name; Keras writes .h5.
_CODE = re.compile(rb'"class_name":\s*"(?:Lambda|__lambda__)"')


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What to do about a file that can't be loaded.

    Attributes:
        code: If it holds code, or something that Keras doesn't know.
        keras_2: If Keras 2 saved it.
    """

    code: str
    keras_2: str


FOR_WEIGHTS = Remedy(
    code="save the network's weights alone, to a .weights.h5 file",
    keras_2="load it there and save the network's weights to a .h5 file",
)
FOR_MODELS = Remedy(
    code="save a model of stock Keras layers instead",
    keras_2="build the model with Keras 3 and save it again",
)


def read_config(path: pathlib.Path, remedy: Remedy) -> dict[str, Any]:
    """Reads the configuration of the model in a file, and nothing else.

    Args:
        path: The file.
        remedy: What to do if it can't be used.

    Returns:
        The content of its `config.json`.

    Raises:
        UsageError: If the file is damaged, holds code, or was saved by Keras 2.
    """
    config, _ = _read(path, remedy, whole=False)
    return config


def read_member(path: pathlib.Path, name: str) -> dict[str, Any]:
    """Reads a JSON object that a file may hold besides what Keras writes.

    Args:
        path: A file that `read_config` accepts.
        name: The member of the archive.

    Returns:
        The object; empty if there is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = json.loads(archive.read(name))
    except (OSError, ValueError, KeyError, RecursionError, zipfile.BadZipFile):
        return {}
    return content if isinstance(content, dict) else {}


def load(path: pathlib.Path, remedy: Remedy) -> keras.Model:
    """Loads the model in a file, uncompiled, without running code that comes with it.

    Args:
        path: The file.
        remedy: What to do if it can't be loaded.

    Returns:
        The model.

    Raises:
        UsageError: If the file is damaged, holds code, was saved by Keras 2, or can't
            be loaded in Keras's safe mode.
    """
    import keras

    _, version = _read(path, remedy, whole=True)
    try:
        with (
            warnings.catch_warnings(),
            local_files.with_suffix(path, ".keras") as file,
        ):
            warnings.simplefilter("ignore")
            model = keras.models.load_model(file, compile=False, safe_mode=True)
    except OSError as error:  # Of h5py, for one.
        raise _incomplete(path, errors.first_cause(error)) from error
    except Exception as error:  # Keras, h5py and zipfile raise a dozen types.
        raise errors.UsageError(
            f"can't load {path}, saved by Keras {version}: "
            f"{errors.first_cause(error)}; {remedy.code}"
        ) from error
    if not isinstance(model, keras.Model):
        raise errors.UsageError(
            f"{path} holds a {type(model).__name__}, which is no Keras model"
        )
    return model


def _read(
    path: pathlib.Path, remedy: Remedy, *, whole: bool
) -> tuple[dict[str, Any], str]:
    """Returns a file's configuration, and the version of Keras that saved it.

    With `whole`, all of the file is checked, not only what is returned.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read("config.json")
            config = json.loads(content)
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
            has_weights = any(n.startswith(_WEIGHTS) for n in archive.namelist())
            damaged = archive.testzip() if whole else None
    except RecursionError as error:
        raise _incomplete(path, "its config.json is nested too deeply") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _incomplete(path, errors.one_line(error)) from error
    if whole and not has_weights:
        raise _incomplete(path, "it lacks model.weights.h5")
    if damaged is not None:
        raise _incomplete(path, f"{damaged} in it is damaged")
    if not isinstance(config, dict):
        raise _incomplete(path, "its config.json describes no model")
    _check(path, content, version, remedy)
    return config, version


def _check(path: pathlib.Path, config: bytes, version: str, remedy: Remedy) -> None:
    """Raises `UsageError` if a file holds code, or was saved by Keras 2."""
    if _CODE.search(config):
        raise errors.UsageError(
            f"{path} holds code, in a Lambda layer, which is not run; {remedy.code}"
        )
    if version.startswith(("1.", "2.")):
        installed = importlib.metadata.version("keras")
        raise errors.UsageError(
            f"{path} was saved by Keras {version}, and Keras {installed} can't load "
            f"it; {remedy.keras_2}"
        )


def _incomplete(path: pathlib.Path, problem: str) -> errors.UsageError:
    return errors.UsageError(
        f"{path} is not a complete .keras file: {problem}; copy or save it again"
    )
