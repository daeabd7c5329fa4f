"""The links of the documentation, and tables in it that repeat what the code knows."""

import dataclasses
import re

import keras
import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import (
    CONTROL,
    IMAGENET,
    IMAGENET_POOLED,
    MINMAX,
    SETTINGS,
)
from tests.helpers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def prose(page):
    """Returns a page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page):
    """Returns what GitHub calls a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_and_anchors_exist(page):
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def table(page, first):
    """Returns the cells of the rows of the table whose first column is `first`."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = text.partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_on_settings_has_all_of_them():
    rows = [row[:2] for row in table("settings.md", "`--normalization`")]
    assert rows == [[f"`{s.name}`", s.formula] for s in SETTINGS.values()]


def test_the_table_of_statistics_follows_from_the_published_ones():
    published = {name: entry.published_statistics for name, entry in DATASETS.items()}
    right = published["tiny_imagenet"]
    published["tiny_imagenet, red and blue exchanged"] = dataclasses.replace(
        right, mean=right.mean[::-1], std=right.std[::-1]
    )
    columns = {"minmax": MINMAX, CONTROL: IMAGENET, "pretrain_pooled": IMAGENET_POOLED}
    rows = table("settings.md", "data set")
    assert len(rows) == 5
    for name, *cells, distance in rows:
        for cell, constants in zip(cells, columns.values(), strict=True):
            std = np.array(constants.std)
            mean = (np.array(published[name].mean) - constants.mean) / std
            std = np.array(published[name].std) / std
            shown = [
                ", ".join(f"{value:.2f}" for value in values) for values in (mean, std)
            ]
            assert cell == "<br>".join(shown)
        sizes = [np.sqrt(np.mean(values**2)) for values in (mean, np.log(std))]
        assert distance == ", ".join(f"{size:.2f}" for size in sizes)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("keras_resnet50", "keras_resnet50, 101, 152"),
        ("keras_mobilenet_025", "keras_mobilenet, _025, _050"),
        ("keras_mobilenetv2_035", "keras_mobilenetv2, _035"),
        ("keras_mobilenetv3small", "keras_mobilenetv3small, large"),
    ],
)
def test_batch_normalization_is_that_of_keras_applications(name, row):
    model = backbones.get(name).build(
        weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    convolutions = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    biases = sum(layer.use_bias for layer in convolutions)
    (cells,) = [cells for cells in table("networks.md", "model") if cells[0] == row]
    assert {f"{layer.epsilon:g}" for layer in norms} == {cells[2]}
    assert {f"{layer.momentum:g}" for layer in norms} == {cells[3]}
    shown = {0: "none", len(convolutions): "all"}.get(biases, "some")
    assert shown == cells[4]


def test_the_page_on_networks_has_the_licence_of_every_tag():
    known = {row[0]: row[1] for row in table("networks.md", "weights")}
    of_keras = {
        r"keras_(resnet\d+|xception|convnext\w+)": "`keras_resnet50`, `101`, `152`, "
        "`keras_xception`, `keras_convnext*`",
        r"keras_(resnet\d+v2|densenet\d+)": "`keras_resnet*v2`, `keras_densenet*`",
        r"keras_vgg\d+": "`keras_vgg*`",
        r"keras_\w+": "other `keras_*`",
    }
    for entry in backbones.ARCHITECTURES.values():
        for tag, weights in entry.tags.items():
            key = "timm's other tags"
            if entry.name.startswith("cifar_"):
                key = "`cifar_*`"
            elif not entry.is_own:
                patterns = (x for x in of_keras if re.fullmatch(x, entry.name))
                key = of_keras[next(patterns)]
            elif tag.startswith(("tv_", "tv2_")) and entry.name.startswith("resnet"):
                key = "timm's tags `tv_*` and `tv2_*` of ResNets"
            elif tag.startswith(("fb_ssl", "fb_swsl")):
                key = "timm's tags `fb_ssl_*` and `fb_swsl_*`"
            elif tag == "bamboo":
                key = "timm's tag `bamboo`"
            assert known[key].lower().startswith(weights.licence), (entry.name, tag)
