"""Writes `.keras` files: equal models give equal bytes, which older Keras loads, too.

What Keras itself saves has the date and addresses in memory in it. It also says how
weights were initialised and repeats every default, in words that older versions of
Keras don't know. Nothing of this is needed to compute the same.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

from normtest_tf.runs import metadata

if TYPE_CHECKING:
    import keras

_CONFIG, _VERSION = "config.json", "metadata.json"  # Keras's names.
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def save(model: keras.Model, path: pathlib.Path, description: dict[str, Any]) -> None:
    """Writes a model, and what `metadata.describe` says of it, to a `.keras` file."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = _portable(json.loads(members[_CONFIG]), {})
    version = json.loads(members[_VERSION])["keras_version"]
    members[_CONFIG] = json.dumps(config).encode()
    members[_VERSION] = json.dumps({"keras_version": version}).encode()
    members[metadata.FILE_NAME] = metadata.to_json(description).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # Dated zip's first day.
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def _portable(value: Any, numbers: dict[int, int]) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a configuration without what only training needs, and without defaults.

    Objects are shared by number, in order, in place of their addresses.
    """
    if isinstance(value, list):
        return [_portable(one, numbers) for one in value]
    if not isinstance(value, dict):
        return value
    value = dict(value)
    if isinstance(value.get("config"), dict) and value.get("module"):
        module = importlib.import_module(value["module"])
        kind = getattr(module, value["class_name"], object)
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(kind.__init__).parameters.items()
            # A class that reads its configuration itself may rely on any other.
            if parameter.default is None or "from_config" not in vars(kind)
        }
        value["config"] = {
            name: given
            for name, given in value["config"].items()
            if not name.endswith(_OF_TRAINING)
            and not (name in defaults and defaults[name] == given)
        }
    if "shared_object_id" in value:
        address = value["shared_object_id"]
        value["shared_object_id"] = numbers.setdefault(address, len(numbers))
    return {name: _portable(one, numbers) for name, one in value.items()}
