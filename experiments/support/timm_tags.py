"""What timm's own registry says about the weights it publishes."""

from __future__ import annotations

import csv
import io
import types
from typing import TYPE_CHECKING

from experiments.support import pytorch

if TYPE_CHECKING:
    import timm.models

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
    """Returns one row for every tag of every network that is on the Hub.

    All tags of one of timm's names are weights of one and the same graph.

    Raises:
        UsageError: If timm is not installed.
        KeyError: If a tag does not say what it was trained on.
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
        # An identifier that ends in a slash stands for "under my own name".
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
    """Returns the pre-training set that a tag's name tells of."""
    if tag not in TRAINED_ON and tag.endswith("_in1k") and "_ft_" not in tag:
        return "ImageNet-1k"
    return TRAINED_ON[tag]


def csv_text() -> str:
    """Returns the rows as the text of a CSV file."""
    table = rows()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
