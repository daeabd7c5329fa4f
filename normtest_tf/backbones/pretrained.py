"""A network and the weights it starts from: what `--model` and `--weights` mean.

`--model` is a network of the registry or the path of a `.keras` file. `--weights` is,
in this order: a tag of the network; `none`; the path of a file, or of a folder that
holds one. A `.keras` file's own weights are its only ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from normtest_tf import errors
from normtest_tf.backbones import own_models, registry, weights
from normtest_tf.backbones.registry import Architecture, Pretraining
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.system import files
from normtest_tf.text import Notify, ignore

if TYPE_CHECKING:
    import keras

_PACKAGE = pathlib.Path(__file__).parent  # Holds the embedded weights.
_DOC = """Builds {title}.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. A tag ({tags}), the path of a `.safetensors`,
            `.weights.h5` or `.keras` file, or None for random weights. A classifier of
            a different size is skipped, with a warning.
        input_shape: tuple of ints, (height, width, 3). Default: {shape}.
        pooling: `avg`, `max` or None. Without a classifier, how the last feature map
            `[n, height / {stride}, width / {stride}, {channels}]` is pooled.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Its activation; None for logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model` of RGB images, float `[n, height, width, 3]`,
        normalised with `backbones.get("{name}").tags[weights].statistics`.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        UsageError: If there is no such tag, or the file can't be downloaded or loaded.

    Example:
    ```python
    backbone = {function}(include_top=False, weights=None, pooling="avg")
    features = backbone(np.zeros([1, *{shape}], "float32"))  # [1, {channels}]
    ```
    """


@dataclasses.dataclass(frozen=True)
class PretrainedNetwork:
    """A network and the weights that it starts from."""

    architecture: Architecture
    tag: str | None  # Of its weights; None for a file or random weights.
    # The file of its weights: of several, their index; of a network in a `.keras` file,
    # that file. None for a tag or random weights.
    path: pathlib.Path | None
    # What inputs looked like in pre-training. For a file or random weights, as for the
    # network's default tag.
    pretraining: Pretraining

    @property
    def label(self) -> str:
        """How results name the weights: a tag, a file's name, or `none`."""
        return self.tag or (self.path.name if self.path else "none")

    def build(
        self, input_shape: tuple[int, int, int], notify: Notify = warnings.warn
    ) -> keras.Model:
        """Builds the network as a feature extractor with its weights.

        Args:
            input_shape: Height, width and 3.
            notify: Called with messages about a file that the user named, such as that
                its classifier was skipped.

        Returns:
            A model that maps float images `[n, height, width, 3]`, normalised as in
            pre-training, to pooled features `[n, features]`.

        Raises:
            UsageError: If the images are too small for the network, or its weights
                can't be downloaded or loaded.

        Example:
            ```python
            model = backbones.resolve("resnet18", "none").build((32, 32, 3))
            features = model(np.zeros([1, 32, 32, 3], "float32"))  # [1, 512]
            ```
        """
        architecture = self.architecture
        architecture.check_size(input_shape)
        if architecture.file is not None:
            has_weights = self.path is not None
            return architecture.build(
                input_shape=input_shape, with_weights=has_weights, notify=notify
            )
        options = {"include_top": False, "input_shape": input_shape, "pooling": "avg"}
        if self.tag is None or architecture.is_own:
            model = architecture.build(weights=None, **options)
            self.load_weights(model, notify if self.tag is None else ignore)
            return model
        with _downloading(self, "Keras's storage"), warnings.catch_warnings():
            # MobileNets warn that their weights are those for 224x224 images.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined")
            return architecture.build(weights=self.tag, **options)

    def load_weights(self, model: keras.Model, notify: Notify = warnings.warn) -> None:
        """Loads the weights into a model of the network, unless they are random."""
        if (path := self.fetch()) is not None:
            weights.load_file(model, path, notify)

    def fetch(self) -> pathlib.Path | None:
        """Returns the local file of the weights, downloaded if necessary, or None."""
        if self.tag is None:
            return self.path
        kind, _, location = self.pretraining.origin.partition(":")
        return _PACKAGE / location if kind == "package" else _from_hub(self, location)

    def download_problem(self) -> str | None:
        """Says why timm's weights can't be had; None if they can, or are of others."""
        kind, _, repository = self.pretraining.origin.partition(":")
        if self.tag is None or kind != "hf":
            return None
        from huggingface_hub import constants, try_to_load_from_cache

        if isinstance(try_to_load_from_cache(repository, weights.HUB_FILE), str):
            return None
        if constants.HF_HUB_OFFLINE:
            return "HF_HUB_OFFLINE is set"
        return files.host_problem(constants.ENDPOINT)

    def sha256(self) -> str | None:
        """Returns the SHA-256 of the user's file, of weights or of the network.

        Of an index, it is one of all files that it lists. None for a tag or random
        weights. A process reads a file only once.
        """
        path = self.path or self.architecture.file
        return None if path is None else weights.sha256(path)


def resolve(
    model: str, weights: str | None = None, statistics: ChannelStatistics | None = None
) -> PretrainedNetwork:
    """Resolves `--model` and `--weights`, without loading anything.

    Args:
        model: A key of `registry.ARCHITECTURES`, or the path of a `.keras` file.
        weights: A tag, `none`, the path of a file, the folder of a finished run or of
            weights in several files, or None for the default tag. With a `.keras`
            file as model: `none`, or None for the weights in it.
        statistics: What inputs were normalised with in pre-training. Default: what is
            recorded for the tag, or for the network's default tag; a `.keras` file as
            model has no default.

    Returns:
        The network and its weights.

    Raises:
        UsageError: If there is no such model, if `weights` is neither one of its tags
            nor a file that could hold its weights, or if a model in a file comes
            without statistics.

    Example:
        ```python
        resolve("resnet18").label  # "tv_in1k"
        resolve("resnet18", "none").label  # "none"
        resolve("resnet18", "mine.safetensors").path  # PosixPath("mine.safetensors")
        resolve("net.keras", statistics=IMAGENET).label  # "net.keras"
        ```
    """
    if registry.names_file(model):
        return _from_file(model, weights, statistics)
    network = _from_registry(registry.get(model), weights)
    if statistics is None:
        return network
    pretraining = dataclasses.replace(network.pretraining, statistics=statistics)
    return dataclasses.replace(network, pretraining=pretraining)


def _from_file(
    model: str, weights: str | None, statistics: ChannelStatistics | None
) -> PretrainedNetwork:
    """Resolves the path of a `.keras` file, and `--weights`."""
    architecture = own_models.describe(model)
    if weights not in (None, "none"):
        raise errors.UsageError(
            f"--weights={str(weights)[:200]} can't be combined with --model={model}, "
            "which has weights of its own. Omit --weights, or pass --weights=none for "
            "random weights"
        )
    if statistics is None:
        raise errors.UsageError(
            f"--model={model} needs --pretrain_mean=RED,GREEN,BLUE and "
            "--pretrain_std=RED,GREEN,BLUE, with which its inputs were normalised in "
            "pre-training, for pixels from 0 to 1: the file does not say"
        )
    pretraining = Pretraining("file", "unknown", statistics, licence="unknown")
    path = architecture.file if weights is None else None
    return PretrainedNetwork(architecture, None, path, pretraining)


def _from_registry(architecture: Architecture, value: str | None) -> PretrainedNetwork:
    """Resolves `--weights` for a network of the registry."""
    tag = architecture.default_tag if value is None else value
    if tag in architecture.tags:
        return PretrainedNetwork(architecture, tag, None, architecture.tags[tag])
    path = None if tag == "none" else weights.locate(files.expand(tag))
    if path is None and tag != "none":
        tags = ", ".join(architecture.tags)
        raise errors.UsageError(
            f"no weights {tag[:200]!r} for {architecture.name}: neither a file nor a "
            f"tag. Allowed: a tag ({tags}), none, the path of a file "
            f"({', '.join(weights.SUFFIXES)}), or the folder of a finished run"
        )
    if path and weights.is_pytorchs(path) and not architecture.is_own:
        raise errors.UsageError(
            f"{path} can't hold weights of {architecture.name}: .safetensors files are "
            "for networks in timm's layout. Allowed: .weights.h5, .h5, .hdf5, .keras"
        )
    assumed = dataclasses.replace(
        architecture.tags[architecture.default_tag],
        origin="none" if path is None else "file",
        trained_on="unknown",
        licence="unknown",
        url="",
    )
    return PretrainedNetwork(architecture, None, path, assumed)


def _from_hub(network: PretrainedNetwork, repository: str) -> pathlib.Path:
    """Returns a file of the Hugging Face Hub, from its cache or downloaded."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _downloading(network, repository):
        with contextlib.suppress(LocalEntryNotFoundError):
            return pathlib.Path(
                hf_hub_download(repository, weights.HUB_FILE, local_files_only=True)
            )
        offline = constants.HF_HUB_OFFLINE
        if not offline and (problem := files.host_problem(constants.ENDPOINT)):
            raise ConnectionError(problem)  # The client would retry for a while.
        return pathlib.Path(hf_hub_download(repository, weights.HUB_FILE))


@contextlib.contextmanager
def _downloading(network: PretrainedNetwork, location: str) -> Iterator[None]:
    """Turns whatever goes wrong in a download into a `UsageError`."""
    try:
        yield
    except errors.UsageError:
        raise
    except Exception as error:  # The Hub, its transport and Keras have a dozen kinds.
        if errors.is_out_of_memory(error):
            raise
        name = f"{network.architecture.name}.{network.label}"  # As timm writes it.
        raise errors.UsageError(
            f"can't download the weights {name} from {location} "
            f"({errors.first_cause(error)}) and they are not cached; connect to the "
            "internet, name a local file with --weights=PATH, or start from random "
            "weights with --weights=none"
        ) from error


def builder(
    name: str,
    features: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    title: str,
    channels: int,
    default_shape: tuple[int, int, int] = (224, 224, 3),
    default_classes: int = 1000,
    stride: int = 32,
) -> Callable[..., keras.Model]:
    """Makes the function that builds one of our own networks.

    `name` is that in the registry, and `title` what the docstring says it builds.
    `features` maps images to the last feature map, which has this many channels and is
    `stride` times smaller.
    """
    import keras

    from normtest_tf.backbones import layers

    pools = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
    }
    architecture = registry.get(name)

    def build(
        include_top: bool = True,
        weights: str | None = architecture.default_tag,
        input_shape: tuple[int, int, int] | None = None,
        pooling: str | None = None,
        classes: int = default_classes,
        classifier_activation: str | None = "softmax",
        name: str = name,
    ) -> keras.Model:
        if pooling not in (None, *pools):
            raise ValueError(
                f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}"
            )
        shape = tuple(input_shape or default_shape)
        architecture.check_size(shape)
        inputs = keras.Input(shape)
        x = features(inputs)
        if include_top or pooling:
            pool = pools["avg" if include_top else str(pooling)]
            x = pool(data_format=layers.CHANNELS_LAST, name="global_pool")(x)
        if include_top:
            x = layers.linear(
                x.shape[-1],
                classes,
                name=architecture.classifier,
                bias=architecture.head_bias,
                activation=classifier_activation,
            )(x)
        model = keras.Model(inputs, x, name=name)
        if weights is not None:
            network = resolve(architecture.name, weights)
            network.load_weights(model, warnings.warn if include_top else ignore)
        return model

    build.__module__, function = architecture.builder.split(":")
    build.__name__ = build.__qualname__ = function
    more = ", ..." if len(architecture.tags) > 1 else ""
    build.__doc__ = _DOC.format(
        function=function,
        title=title,
        name=name,
        tags=f"`{architecture.default_tag}`{more}",
        shape=default_shape,
        stride=stride,
        channels=channels,
    )
    return build
