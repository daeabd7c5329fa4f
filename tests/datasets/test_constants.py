"""Published statistics: plausible, cited, and found by any spelling of a name."""

import re

import pytest

from normtest_tf import datasets

GREY = ("mnist", "fashion_mnist", "emnist")


@pytest.mark.parametrize("name", datasets.PUBLISHED)
def test_every_entry_is_plausible_and_has_its_source(name):
    entry = datasets.PUBLISHED[name]
    for values in (entry.mean, entry.std):
        assert len(values) == 3
        assert all(0 < value < 1 for value in values)
    # No distribution on [0, 1] with this mean has a larger std.
    for mean, std in zip(entry.mean, entry.std, strict=True):
        assert std <= (mean * (1 - mean)) ** 0.5
    assert entry.definition in ("pooled", "per-image")
    assert re.match(r"https://[\w.-]+/", entry.source)
    is_grey = len(set(entry.mean)) == len(set(entry.std)) == 1
    assert is_grey == (name.partition("/")[0] in GREY)


def test_names_are_found_with_and_without_prefix_version_and_default_config():
    find = datasets.published_statistics
    assert find("mnist").mean == (0.1307,) * 3
    assert find("tfds:mnist") == find("mnist:3.0.1") == find("mnist")
    assert find("emnist") == find("tfds:emnist/byclass") != find("emnist/letters")
    assert find("tfds:eurosat") == find("eurosat/rgb")
    assert find("eurosat/all") is None
    assert find("digits") is None
    cifar10 = datasets.DATASETS["cifar10"].published_statistics
    assert find("cifar10") == find("tfds:cifar10") == cifar10
