"""Lists all pre-trained weights: training set, image side, inputs, licence, origin.

    python -m experiments.networks
    python -m experiments.networks --from_timm

The second command updates the package's list of tags from the installed timm (pip
install torch timm torchvision).
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import program, pytorch
from normtest_tf import text
from normtest_tf.backbones import Pretraining, registry
from normtest_tf.normalization import IMAGENET
from normtest_tf.system import files

if TYPE_CHECKING:
    import timm.models

FLAGS = flags.FLAGS

flags.DEFINE_bool(
    "from_timm", False, "Update the package's list of tags from timm, and stop."
)

# List a new network here first: the registry needs its tags.
OF_TIMM = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
)
TRAINED_ON = {
    "bamboo": "Bamboo",
    "fb_ssl_yfcc100m_ft_in1k": "YFCC-100M, then ImageNet-1k",
    "fb_swsl_ig1b_ft_in1k": "Instagram-1B, then ImageNet-1k",
}
INPUTS = {
    IMAGENET: "ImageNet",
    registry.HALF: "[-1, 1]",
    registry.BY_128: "x / 128 - 1",
    registry.CAFFE: "Caffe",
    registry.CIFAR10: "CIFAR10",
}


def main(argv: Sequence[str]) -> None:
    """Prints the table, or updates the list of tags."""
    del argv
    if FLAGS.from_timm:
        files.write_text(registry.TIMM_TAGS, timm_tags())
        print(f"wrote {registry.TIMM_TAGS}")
        return
    rows = [("model", "tag", "trained on", "size", "inputs", "licence", "origin")]
    rows += [
        (
            entry.name,
            tag,
            weights.trained_on,
            str(weights.input_size or ""),
            INPUTS[weights.statistics],
            weights.licence,
            _origin(weights),
        )
        for entry in registry.ARCHITECTURES.values()
        for tag, weights in entry.tags.items()
    ]
    print(text.text_table(rows))


def _origin(weights: Pretraining) -> str:
    """Returns where weights are published and, if known, who made them."""
    kind, _, place = weights.origin.partition(":")
    if kind == "hf":
        source = f", from {weights.url}" if weights.url else ""
        return f"https://huggingface.co/{place}{source}"
    return "this package" if kind == "package" else "Keras Applications"


def timm_tags() -> str:
    """Returns timm's weights on the Hugging Face Hub, as the text of a CSV file."""
    models = pytorch.import_module("timm.models")
    return text.csv_text(
        [
            _row(name, models.get_pretrained_cfg(f"{name}.{tag}"))
            for name in OF_TIMM
            for tag in _tags(models, name)
        ]
    )


def _tags(models: types.ModuleType, name: str) -> list[str]:
    """Returns a network's tags, timm's default first."""
    names = models.list_pretrained(f"{name}.*")
    default = models.get_pretrained_cfg(name).tag
    tags = [full_name.partition(".")[2] for full_name in names]
    return sorted(tags, key=lambda tag: (tag != default, tag))


def _row(name: str, config: timm.models.PretrainedCfg) -> dict[str, str]:
    """Returns the row of one tag; a `KeyError` if its training set is unknown."""
    tag, repository = config.tag or "", config.hf_hub_id or ""
    if repository.endswith("/"):  # Only the owner.
        repository += f"{name}.{tag}"
    on_imagenet = tag.endswith("_in1k") and "_ft_" not in tag and tag not in TRAINED_ON
    return {
        "model": name,
        "tag": tag,
        "repository": repository,
        "trained_on": "ImageNet-1k" if on_imagenet else TRAINED_ON[tag],
        "mean": " ".join(map(str, config.mean)),
        "std": " ".join(map(str, config.std)),
        "input_size": str(config.input_size[-1]),
        "licence": config.license or "not stated",
        "url": config.origin_url or "",
    }


if __name__ == "__main__":
    program.run(main)
