"""Tables of images: file,label and file,label,split."""

import itertools

import numpy as np
import pytest

from normtest_tf import datasets
from tests.datasets import helpers

ROWS = [
    (f"{name}/{index}.png", name, "train" if index < 3 else "test", base + index)
    for name, base in (("dog", 20), ("cat", 10))
    for index in range(5)
]
WITH_SPLITS = [f"{file},{label},{split}" for file, label, split, _ in ROWS]
TABLE = ["file,label,split", *WITH_SPLITS]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for file, _, _, value in ROWS:
        helpers.write_image(root / file, (value, 0, 0))
    return root


def load(folder, lines, notify=lambda text: None, encoding="utf-8", **options):
    path = folder / "list.csv"
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    return datasets.load(f"csv:{path}", datasets.ReadingOptions(**options), notify)


def test_a_table_with_splits_gives_images_and_labels(images):
    dataset = load(images, TABLE)
    assert (dataset.name, dataset.class_names) == ("csv-list", ("cat", "dog"))
    assert sorted(helpers.reds(dataset.train_images)) == [10, 11, 12, 20, 21, 22]
    assert sorted(helpers.reds(dataset.test_images)) == [13, 14, 23, 24]
    labels = np.array(helpers.reds(dataset.train_images)) >= 20
    np.testing.assert_array_equal(dataset.train_labels, labels)


def test_the_same_table_can_be_written_in_other_ways(images):
    expected = load(images, TABLE).fingerprint()
    columns = [f"{split},x,{label} ,{file}" for file, label, split, _ in ROWS]
    for lines, encoding in (
        (TABLE, "utf-8-sig"),
        ([f"{line}\r" for line in TABLE], "utf-8"),
        ([" File,LABEL,Split", "", ",,", *WITH_SPLITS], "utf-8"),
        (["split,x, label,file", *columns], "utf-8"),
    ):
        assert load(images, lines, encoding=encoding).fingerprint() == expected


def test_a_table_without_splits_is_divided(images):
    lines = ["file,label", *(f"{file},{label}" for file, label, _, _ in ROWS)]
    dataset = load(images, lines, test_fraction=0.4, split_seed=1)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    seen = helpers.reds(dataset.train_images) + helpers.reds(dataset.test_images)
    assert sorted(seen) == sorted(row[3] for row in ROWS)
    with helpers.usage_error("no train and no test split"):
        load(images, lines, test_split="test")


def test_classes_that_are_numbers_are_in_their_order(images):
    lines = [line.replace(",cat", ",10").replace(",dog", ",9") for line in TABLE]
    assert load(images, lines).class_names == ("9", "10")


@pytest.mark.parametrize(
    ("labels", "classes", "word"),
    [
        (("Dog", "dog"), ("Dog", "dog"), "tell 'Dog' and 'dog' apart"),
        (("1.0", "01"), ("01", "1.0"), "tell '01' and '1.0' apart"),
        (("1.5", "15"), ("1.5", "15"), None),
        (("tea", "caf\u00e9", "cafe\u0301"), ("caf\u00e9", "tea"), None),
        (("nan", "tea"), ("nan", "tea"), "a class is called nan"),
    ],
)
def test_labels_that_look_alike_are_one_class_or_noted(images, labels, classes, word):
    pairs = zip(ROWS, itertools.cycle(labels), strict=False)
    lines = [f"{row[0]},{label}" for row, label in pairs]
    notes = []
    dataset = load(images, ["file,label", *lines], notes.append)
    assert dataset.class_names == classes
    assert len(notes) == (word is not None)
    assert word is None or word in notes[0]


def test_splits_can_be_named_and_others_are_left_out_with_a_note(images):
    lines, notes = [*TABLE[:1], TABLE[1].replace("train", "extra"), *TABLE[2:]], []
    dataset = load(images, lines, notes.append, train_split="test", test_split="train")
    assert sorted(helpers.reds(dataset.test_images)) == [10, 11, 12, 21, 22]
    assert notes == ["csv-list: left out 1 image of other splits"]
    with helpers.usage_error("no dev split", "extra, test, train", "--test_split"):
        load(images, lines, test_split="dev")
    with helpers.usage_error("both 'test'"):
        load(images, lines, train_split="test", test_split="test")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,class"], ("first line must be file,label", "'image,class'")),
        (["file,label"], ("lists no images",)),
        (["file,label", "cat/0.png"], ("line 2", "no label")),
        (["file,label", "a,b.png,cat"], ("line 2", "quote")),
        ([*TABLE[:2], f'{TABLE[2]}"', *TABLE[3:5], 'x,"cat'], ("end of data",)),
        (["file,label", "cat/0.png,cat", "cat/../cat/0.png,dog"], ("again",)),
        ([*TABLE, "x.png,wolf,test"], ("1 test image", "training image: wolf")),
    ],
)
def test_a_table_that_can_not_be_used_is_refused(images, lines, words):
    with helpers.usage_error("list.csv", *words):
        load(images, lines)


def test_a_file_that_is_no_table_is_refused(images, tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"file,label\n\xe9.png,cat\n")
    for path, words in (
        (images / "none.csv", "No such file"),
        (images, "not a file"),
        (tmp_path / "latin.csv", "utf-8"),
        (images / "cat" / "0.png", "first line must be"),
    ):
        with helpers.usage_error(path, words):
            datasets.check_available(f"csv:{path}")
