"""The generated pages of docs/ against the registries and the models."""

import keras

from experiments import networks
from experiments.support import pages
from normtest_tf import backbones
from tests.helpers import ROOT

DOCUMENT = ROOT / "docs" / "networks.md"
SHAPE = (64, 64, 3)


def test_the_page_on_networks_has_the_current_tags():
    assert networks.tags_table() in DOCUMENT.read_text(encoding="utf-8")


def test_the_pages_on_settings_and_flags_are_current():
    # If this fails: python -m experiments.networks
    docs = ROOT / "docs"
    assert (docs / "settings.md").read_text(encoding="utf-8") == pages.settings_page()
    statistics = (docs / "statistics.md").read_text(encoding="utf-8")
    assert statistics == pages.statistics_page()
    assert (docs / "flags.md").read_text(encoding="utf-8") == pages.flags_page()


def test_tiny_imagenet_is_the_nearest_to_imagenet_in_the_right_order():
    lines = pages.statistics_page().splitlines()
    (exchanged,) = [line for line in lines if "red and blue exchanged |" in line]
    assert "| -0.38, -0.04, 0.33<br>1.23, 1.20, 1.23 |" in exchanged
    right = next(line for line in lines if line.startswith("| tiny_imagenet |"))
    assert "| -0.02, -0.04, -0.04<br>1.21, 1.20, 1.25 |" in right
    assert right.endswith("| 0.03, 0.02 |")


def test_the_page_on_networks_has_every_tag_of_every_network():
    text = DOCUMENT.read_text(encoding="utf-8")
    for entry in backbones.ARCHITECTURES.values():
        assert text.count(f"| {entry.name} |") >= len(entry.tags)


def test_properties_are_read_from_the_layers():
    ours = backbones.ResNet50(weights=None, include_top=False, input_shape=SHAPE)
    assert networks.properties(ours) == ("1e-05", "0.9", "none", "3/3, 1/1", "3x3")
    theirs = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=SHAPE
    )
    assert networks.properties(theirs) == (
        "1.001e-05",
        "0.99",
        "53 of 53 convolutions",
        "3/3, 1/1",
        "1x1",
    )
    same = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 7, strides=2, padding="same")]
    )
    assert networks.properties(same)[3] == "2/3"
