"""The list of weights that timm publishes, from timm's own registry."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

from experiments.support import pytorch
from normtest_tf import text

if TYPE_CHECKING:
    import timm.models

# List a new network here first: the registry needs its tags.
NETWORKS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
)
TRAINED_ON = {
    "bamboo": "Bamboo",
    "fb_ssl_yfcc100m_ft_in1k": "YFCC-100M, then ImageNet-1k",
    "fb_swsl_ig1b_ft_in1k": "Instagram-1B, then ImageNet-1k",
}


def rows() -> list[dict[str, str]]:
    """Lists the tags of all `NETWORKS` that are on the Hugging Face Hub.

    All tags of a network in timm are weights of the same graph.

    Returns:
        One row per tag, with the columns of `timm_tags.csv`; a network's first row is
        timm's default.

    Raises:
        UsageError: If timm is not installed.
        KeyError: If a tag's name doesn't say what it was trained on.
    """
    models = pytorch.import_module("timm.models")
    return [
        _row(name, models.get_pretrained_cfg(f"{name}.{tag}"))
        for name in NETWORKS
        for tag in _tags(models, name)
    ]


def _tags(models: types.ModuleType, name: str) -> list[str]:
    """Returns a network's tags, timm's default first."""
    names = models.list_pretrained(f"{name}.*")
    default = models.get_pretrained_cfg(name).tag
    tags = [full_name.partition(".")[2] for full_name in names]
    return sorted(tags, key=lambda tag: (tag != default, tag))


def _row(name: str, config: timm.models.PretrainedCfg) -> dict[str, str]:
    """Returns the row of one tag."""
    tag = config.tag
    return {
        "model": name,
        "tag": tag,
        # An identifier that ends in a slash names only the owner.
        "repository": (
            f"{config.hf_hub_id}{name}.{tag}"
            if config.hf_hub_id.endswith("/")
            else config.hf_hub_id
        ),
        "trained_on": _trained_on(tag),
        "mean": " ".join(map(str, config.mean)),
        "std": " ".join(map(str, config.std)),
        "input_size": str(config.input_size[-1]),
        "licence": config.license or "not stated",
        "url": config.origin_url or "",
    }


def _trained_on(tag: str) -> str:
    """Derives the pre-training set from a tag's name."""
    if tag not in TRAINED_ON and tag.endswith("_in1k") and "_ft_" not in tag:
        return "ImageNet-1k"
    return TRAINED_ON[tag]


def csv_text() -> str:
    """Returns the rows as the text of a CSV file."""
    return text.csv_text(rows())
