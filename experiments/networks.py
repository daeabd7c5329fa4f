"""Writes docs/networks.md: all weights by tag, and what Keras's networks do otherwise.

    python -m experiments.networks
    python -m experiments.networks --from_timm

With --from_timm the list of tags in the package is first renewed from the timm that
is installed (pip install torch timm torchvision).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import program
from normtest_tf.backbones import registry
from normtest_tf.system import files, quiet

if TYPE_CHECKING:
    import keras

FLAGS = flags.FLAGS

flags.DEFINE_bool("from_timm", False, "First renew the list of tags from timm.")
flags.DEFINE_string("output", "docs/networks.md", "Markdown file to write.")
flags.DEFINE_bool("dry_run", False, "Print the document instead of writing it.")

HEAD = """# Networks and their weights

Written by `python -m experiments.networks`.

## Weights by tag

`--model=MODEL --weights=TAG`. A network's first tag is its default. Statistics are
those of the pre-training inputs, which `--normalization=pretrain` uses: `ImageNet` is
mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225), the mean of per-image stds;
`[-1, 1]` is mean and std 0.5; `Caffe` is BGR with the mean (123.68, 116.779, 103.939)
subtracted from pixels of 0 to 255. "Size" is the image side in pre-training.
"""

KERAS_HEAD = """
## What Keras Applications' networks do otherwise

Read off the layers of the models. The first two rows are the reference's networks, as
this package has them. "Padding" is that of strided 3x3 and larger windows, in pixels
before/after, for an image side of 224: unequal numbers come from TensorFlow's `same`.
BN momentum is in Keras's sense (PyTorch's is one minus it). "Stride" is the window of
the convolution that halves the resolution inside a ResNet's stages. Keras's code does
not say where all of its files were trained; those whose inputs are Caffe's go back to
the models that the authors published for Caffe.
"""


def main(argv: Sequence[str]) -> None:
    """Writes the document."""
    del argv
    output = pathlib.Path(FLAGS.output)
    if FLAGS.from_timm:
        from experiments.support import timm_tags

        files.write_text(registry.TIMM_TAGS, timm_tags.csv_text())
        print(f"wrote {registry.TIMM_TAGS}; run again without --from_timm")
        return
    quiet.import_tensorflow()
    text = HEAD + "\n" + tags_table() + KERAS_HEAD + "\n" + keras_table()
    if FLAGS.dry_run:
        print(text, end="")
        return
    files.write_text(output, text)
    print(f"wrote {output}")


def tags_table() -> str:
    """Returns a row for every network and tag."""
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
    return _table(rows)


def inputs_name(weights: registry.Pretraining) -> str:
    """Returns the short name of how the inputs looked in pre-training."""
    names = {
        registry.IMAGENET: "ImageNet",
        registry.HALF: "[-1, 1]",
        registry.CAFFE: "Caffe",
        registry.CIFAR10: "CIFAR10",
    }
    return names[weights.statistics]


def _origin(weights: registry.Pretraining) -> str:
    """Returns where weights are had from and, if known, who made them."""
    kind, _, place = weights.origin.partition(":")
    if kind == "hf":
        place = f"[{place}](https://huggingface.co/{place})"
        return f"{place}, of {weights.url}" if weights.url else place
    return "this package" if kind == "package" else "Keras Applications"


def keras_table() -> str:
    """Returns a row for the reference and for each network of Keras Applications."""
    import keras

    from normtest_tf import backbones

    head = ("model", "weights", "inputs", "BN epsilon", "BN momentum")
    rows = [(*head, "biases", "padding", "stride")]
    for name in ("resnet50", "densenet121"):
        builder = getattr(backbones, backbones.get(name).builder)
        reference = builder(weights=None, include_top=False)
        rows.append((name, "timm's files", "ImageNet", *properties(reference)))
    for entry in registry.ARCHITECTURES.values():
        if entry.family == "keras_applications":
            builder = getattr(keras.applications, entry.builder)
            options = {"weights": None, "include_top": False, **entry.options}
            model = builder(input_shape=(224, 224, 3), **options)
            tag = entry.tags["imagenet"]
            rows.append(
                (entry.name, lineage(tag), inputs_name(tag), *properties(model))
            )
            keras.backend.clear_session()
    return _table(rows)


def lineage(weights: registry.Pretraining) -> str:
    """Returns whose training one of Keras's weights go back to, as far as it shows."""
    if weights.statistics == registry.CAFFE:
        return "the authors' Caffe models"
    return "Keras's own files"


def properties(model: keras.Model) -> tuple[str, str, str, str, str]:
    """Returns epsilon, momentum, biases, padding and stride, as text."""
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
        _values(_inner_strides(convolutions)) if "resnet" in model.name else "",
    )


def _values(values: Iterable[str]) -> str:
    """Returns the different values there are, in order of appearance."""
    return ", ".join(dict.fromkeys(values)) or "none"


def _is_strided(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer's windows overlap its neighbours' and skip positions."""
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
        # As TensorFlow pads for an even side: what is missing, less of it first.
        total = _window(layer) - 2
        return f"{total // 2}/{total - total // 2}"
    before = layer.input._keras_history.operation
    if isinstance(before, keras.layers.ZeroPadding2D):
        return "/".join(map(str, before.padding[0]))
    return "0/0"


def _inner_strides(convolutions: Sequence[keras.layers.Conv2D]) -> Iterable[str]:
    """Yields the kernels of strided convolutions of residual main branches."""
    for layer in convolutions[1:]:
        shortcut = layer.name.endswith(("_0_conv", "_downsample_0"))
        if layer.strides == (2, 2) and not shortcut:
            side = layer.kernel_size[0]
            yield f"{side}x{side}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    program.run(main)
