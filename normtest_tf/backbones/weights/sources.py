"""Finding pre-trained weights, by tag or by path, and loading them.

`--weights` is resolved in this order: `none`; a tag of the network; the path of
a file. Tags are downloaded once and cached by huggingface_hub or by Keras.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from typing import TYPE_CHECKING

from normtest_tf import errors
from normtest_tf.backbones import registry
from normtest_tf.system import files, hosts

if TYPE_CHECKING:
    import keras

SUFFIXES = (".safetensors", ".weights.h5", ".h5")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the weights of one model come from.

    Attributes:
        architecture: The network's name.
        tag: The tag, or None for a file or a fresh start.
        path: The file, or None for a tag or a fresh start.
        pretraining: What the inputs looked like in pre-training. For a file or
            a fresh start, those of the network's default tag.
    """

    architecture: str
    tag: str | None
    path: pathlib.Path | None
    pretraining: registry.Pretraining

    @property
    def label(self) -> str:
        """How the weights are named in results: tag, file name or `none`."""
        return self.tag or (self.path.name if self.path else "none")


def resolve(architecture: str, weights: str | None = None) -> Source:
    """Finds out what a value of `--weights` means, without loading anything.

    Args:
        architecture: A key of `registry.ARCHITECTURES`.
        weights: A tag, `none`, the path of a file, or None for the default tag.

    Returns:
        The source of the weights.

    Raises:
        UsageError: If it is neither a tag nor a file that could hold weights.
    """
    entry = registry.get(architecture)
    tag = entry.default_tag if weights is None else weights
    if tag in entry.tags:
        return Source(architecture, tag, None, entry.tags[tag])
    default = entry.tags[entry.default_tag]
    if tag == "none":
        return Source(architecture, None, None, _assumed(default, "none"))
    path = files.expand(tag)
    if not path.is_file():
        raise errors.UsageError(
            f"no weights {weights!r} for {architecture}: neither a file nor a tag. "
            f"Allowed: a tag ({', '.join(entry.tags)}), none, or the path of a "
            f"{', '.join(SUFFIXES)} file"
        )
    if not path.name.endswith(SUFFIXES):
        raise errors.UsageError(
            f"{path} does not look like weights. Allowed: {', '.join(SUFFIXES)}"
        )
    if path.suffix == ".safetensors" and entry.family == "keras_applications":
        raise errors.UsageError(
            f"{path} can't hold weights of {architecture}: .safetensors files are for "
            "networks in timm's layout. Allowed: .weights.h5, .h5"
        )
    return Source(architecture, None, path, _assumed(default, "file"))


def _assumed(default: registry.Pretraining, origin: str) -> registry.Pretraining:
    """Returns what is assumed of weights without a tag: the default's inputs only."""
    return dataclasses.replace(
        default, origin=origin, trained_on="unknown", licence="unknown", url=""
    )


def fetch(source: Source) -> pathlib.Path:
    """Returns the local file that holds the weights of a tag, or the file itself.

    Args:
        source: From `resolve`; its tag must not be one of Keras's own.

    Returns:
        The path of a `.safetensors` or HDF5 file.

    Raises:
        UsageError: If the file is neither cached nor can be downloaded.
    """
    if source.path is not None:
        return source.path
    kind, _, location = source.pretraining.origin.partition(":")
    if kind == "package":
        return pathlib.Path(__file__).parent.parent / location
    return _from_hub(source, location)


def _from_hub(source: Source, repository: str) -> pathlib.Path:
    """Returns a file of the Hugging Face Hub, from its cache or downloaded."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*, local_files_only: bool) -> pathlib.Path:
        return pathlib.Path(
            huggingface_hub.hf_hub_download(
                repository, "model.safetensors", local_files_only=local_files_only
            )
        )

    with contextlib.suppress(LocalEntryNotFoundError):
        return download(local_files_only=True)
    if constants.HF_HUB_OFFLINE:
        raise _no_download(source, repository, "HF_HUB_OFFLINE is set")
    if problem := hosts.host_problem(constants.ENDPOINT):
        raise _no_download(source, repository, problem)
    try:
        return download(local_files_only=False)
    except (OSError, ValueError, RuntimeError) as error:
        # The hub's and its transport's own errors derive from these.
        raise _no_download(source, repository, errors.first_cause(error)) from error


def _no_download(source: Source, location: str, reason: str) -> errors.UsageError:
    """Returns the error for weights that can't be had from here."""
    return errors.UsageError(
        f"can't download the weights {source.architecture}.{source.tag} from "
        f"{location} ({reason}) and they are not cached; connect to "
        "the network, or name a local file with --weights=PATH, or start from "
        "scratch with --weights=none"
    )


def load(model: keras.Model, source: Source) -> list[str]:
    """Loads weights from a tag or file into a model of our own families.

    Args:
        model: The model; its variables are overwritten.
        source: From `resolve`.

    Returns:
        Sentences on what was left out of the file.

    Raises:
        UsageError: If the file holds another network's weights, or none.
    """
    if source.tag is None and source.path is None:
        return []
    return load_file(model, fetch(source))


def load_file(model: keras.Model, path: pathlib.Path) -> list[str]:
    """Loads the weights in one file; see `load`."""
    from normtest_tf.backbones.weights import h5_files, safetensors_files

    if path.name.endswith(".safetensors"):
        return safetensors_files.load(model, path)
    return h5_files.load(model, path)


def keras_download(source: Source, error: Exception) -> errors.UsageError:
    """Returns the error for a download that Keras could not make."""
    return _no_download(source, "Keras's storage", errors.first_cause(error))
