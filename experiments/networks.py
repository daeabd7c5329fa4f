"""Writes the generated pages of docs/: networks, settings, flags, statistics.

    python -m experiments.networks --from_timm
    python -m experiments.networks

The first command updates the package's list of tags from the installed timm (pip
install torch timm torchvision). The second writes all weights by tag, how Keras's
networks differ, and the pages on settings and flags.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import pages, program
from normtest_tf import text
from normtest_tf.backbones import Pretraining, architecture, registry
from normtest_tf.normalization import IMAGENET
from normtest_tf.system import files, keras_setup

if TYPE_CHECKING:
    import keras

FLAGS = flags.FLAGS

flags.DEFINE_bool(
    "from_timm", False, "Update the package's list of tags from timm, and stop."
)
flags.DEFINE_string(
    "output",
    "docs/networks.md",
    "Markdown file to write; settings.md, flags.md and statistics.md are written next "
    "to it.",
)
flags.DEFINE_bool("dry_run", False, "Print the page on networks and write nothing.")

HEAD = f"""# Networks and their weights

{pages.GENERATED}

## Weights by tag

Select them with `--model=MODEL --weights=TAG`; a network's first tag is its default.
"Inputs" says how images were normalised in pre-training, which
`--normalization=pretrain` reproduces: `ImageNet` is mean (0.485, 0.456, 0.406) and std
(0.229, 0.224, 0.225), the latter being the mean of per-image stds; `CIFAR10` is mean
(0.4914, 0.4822, 0.4465) and std (0.247, 0.2435, 0.2616), over all its training images;
`[-1, 1]` is mean and std 0.5; `Caffe` is BGR with the mean (123.68, 116.779, 103.939)
subtracted from pixels of 0 to 255, and `x / 128 - 1` is of these pixels, too. "Size" is
the image side in pre-training.
"""

KERAS_HEAD = """
## How the networks of Keras Applications differ

Read from the models' layers. The first two rows are networks of the PyTorch study, as
defined in this package. "Padding" is that of strided windows of 3x3 and larger, in
pixels before/after, for an image side of 224; TensorFlow's `same` makes them unequal.
BN momentum is in Keras's sense (PyTorch's is one minus it). "Stride" is the window of
the convolution that halves the resolution inside a ResNet's stages. Keras does not
document where all of its weights were trained; those with Caffe preprocessing come from
the authors' original Caffe models.
"""


def main(argv: Sequence[str]) -> None:
    """Writes the pages."""
    del argv
    output = pathlib.Path(FLAGS.output)
    if FLAGS.from_timm:
        from experiments.support import timm_tags

        files.write_text(registry.TIMM_TAGS, timm_tags.csv_text())
        print(f"wrote {registry.TIMM_TAGS}; now run this without --from_timm")
        return
    keras_setup.import_tensorflow()
    document = HEAD + "\n" + tags_table() + KERAS_HEAD + "\n" + keras_table()
    if FLAGS.dry_run:
        print(document, end="")
        return
    written = {
        output: document,
        output.with_name("settings.md"): pages.settings_page(),
        output.with_name("flags.md"): pages.flags_page(),
        output.with_name("statistics.md"): pages.statistics_page(),
    }
    for path, page in written.items():
        files.write_text(path, page)
        print(f"wrote {path}")


def tags_table() -> str:
    """Returns a table in Markdown with a row for every network and tag."""
    rows = [("model", "tag", "trained on", "size", "inputs", "licence", "origin")]
    for entry in registry.ARCHITECTURES.values():
        for tag, weights in entry.tags.items():
            size = weights.input_size
            rows.append(
                (
                    entry.name,
                    tag,
                    weights.trained_on,
                    str(size) if size else "",
                    inputs_name(weights),
                    weights.licence,
                    _origin(weights),
                )
            )
    return text.markdown_table(rows) + "\n"


def inputs_name(weights: Pretraining) -> str:
    """Returns a short name for the normalisation of the inputs in pre-training."""
    names = {
        IMAGENET: "ImageNet",
        architecture.HALF: "[-1, 1]",
        architecture.BY_128: "x / 128 - 1",
        architecture.CAFFE: "Caffe",
        architecture.CIFAR10: "CIFAR10",
    }
    return names[weights.statistics]


def _origin(weights: Pretraining) -> str:
    """Returns where weights are published and, if known, who made them."""
    kind, _, place = weights.origin.partition(":")
    if kind == "hf":
        place = f"[{place}](https://huggingface.co/{place})"
        return f"{place}, from {weights.url}" if weights.url else place
    return "this package" if kind == "package" else "Keras Applications"


def keras_table() -> str:
    """Returns a table in Markdown: two networks of ours, all of Keras Applications."""
    import keras

    head = ("model", "weights", "inputs", "BN epsilon", "BN momentum")
    rows = [(*head, "biases", "padding", "stride")]
    for entry in registry.ARCHITECTURES.values():
        if entry.is_own and entry.name not in ("resnet50", "densenet121"):
            continue
        weights = entry.tags[entry.default_tag]
        model = entry.build(weights=None, include_top=False, input_shape=(224, 224, 3))
        rows.append(
            (entry.name, lineage(weights), inputs_name(weights), *properties(model))
        )
        keras.backend.clear_session()
    return text.markdown_table(rows) + "\n"


def lineage(weights: Pretraining) -> str:
    """Returns where the weights come from, if known."""
    if weights.origin.startswith("hf:"):
        return "timm's files"
    if weights.statistics == architecture.CAFFE:
        return "the authors' Caffe models"
    return "Keras's own files"


def properties(model: keras.Model) -> tuple[str, str, str, str, str]:
    """Returns epsilon, momentum, biases, padding and stride as text."""
    import keras

    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    convolutions = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    biased = sum(layer.use_bias for layer in convolutions)
    return (
        _values(f"{layer.epsilon:g}" for layer in norms),
        _values(f"{layer.momentum:g}" for layer in norms),
        f"{biased} of {len(convolutions)} convolutions" if biased else "none",
        _values(_padding(layer) for layer in model.layers if _is_strided(layer)),
        _values(_inner_strides(convolutions))
        if model.name.startswith("resnet")
        else "",
    )


def _values(values: Iterable[str]) -> str:
    """Joins the distinct values in order of appearance."""
    return ", ".join(dict.fromkeys(values)) or "none"


def _is_strided(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer has a window larger than 2x2 with stride 2."""
    window = _window(layer)
    return window > 2 and tuple(layer.strides) == (2, 2)


def _window(layer: keras.layers.Layer) -> int:
    """Returns the side of a convolution's or a pooling's window, or 0."""
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    return size[0] if size and getattr(layer, "strides", None) else 0


def _padding(layer: keras.layers.Layer) -> str:
    """Returns how many pixels a strided layer adds before and after."""
    import keras

    if layer.padding == "same":
        # With an even image side, TensorFlow puts the smaller half before.
        total = _window(layer) - 2
        return f"{total // 2}/{total - total // 2}"
    before = layer.input._keras_history.operation
    if isinstance(before, keras.layers.ZeroPadding2D):
        return "/".join(map(str, before.padding[0]))
    return "0/0"


def _inner_strides(convolutions: Sequence[keras.layers.Conv2D]) -> Iterable[str]:
    """Yields the window sizes of strided convolutions in residual branches."""
    for layer in convolutions[1:]:
        shortcut = layer.name.endswith(("_0_conv", "_downsample_0"))
        if layer.strides == (2, 2) and not shortcut:
            side = layer.kernel_size[0]
            yield f"{side}x{side}"


if __name__ == "__main__":
    program.run(main)
