"""Tables of images: file,label and file,label,split."""

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
UNDIVIDED = ["file,label", *(f"{file},{label}" for file, label, _, _ in ROWS)]


@pytest.fixture
def images(tmp_path):
    for file, _, _, value in ROWS:
        helpers.write_image(tmp_path / file, (value, 0, 0))
    return tmp_path


def write(folder, lines, encoding="utf-8", end="\n"):
    path = folder / "list.csv"
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


def load(path, notify=lambda text: None, **options):
    return datasets.load(f"csv:{path}", datasets.ReadingOptions(**options), notify)


def values(images):
    return np.asarray(images)[:, 0, 0, 0].tolist()


def test_a_table_with_splits_gives_images_and_labels(images):
    dataset = load(write(images, ["file,label,split", *WITH_SPLITS]))
    assert dataset.name == "csv-list"
    assert dataset.class_names == ("cat", "dog")
    assert sorted(values(dataset.train_images)) == [10, 11, 12, 20, 21, 22]
    assert sorted(values(dataset.test_images)) == [13, 14, 23, 24]
    for pixels, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        np.testing.assert_array_equal(labels, np.array(values(pixels)) >= 20)
    assert dataset.division is None


@pytest.mark.parametrize(
    ("lines", "change"),
    [
        (["file,label,split", *WITH_SPLITS], {"encoding": "utf-8-sig"}),
        (["file,label,split", *WITH_SPLITS], {"end": "\r\n"}),
        ([" File,LABEL,Split", "", ",,", *WITH_SPLITS], {}),
        (
            [
                "split,x, label,file",
                *(f"{split},x,{label} ,{file}" for file, label, split, _ in ROWS),
            ],
            {},
        ),
    ],
    ids=["byte order mark", "carriage returns", "blanks and capitals", "columns"],
)
def test_the_same_table_can_be_written_in_other_ways(images, lines, change):
    expected = load(write(images, ["file,label,split", *WITH_SPLITS])).fingerprint()
    assert load(write(images, lines, **change)).fingerprint() == expected


def test_a_table_without_splits_is_divided(images):
    path = write(images, UNDIVIDED)
    dataset = load(path, test_fraction=0.4, split_seed=1)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert np.bincount(dataset.train_labels).tolist() == [3, 3]
    seen = values(dataset.train_images) + values(dataset.test_images)
    assert sorted(seen) == sorted(row[3] for row in ROWS)
    assert dataset.division == "0.4 of each class for testing, drawn with seed 1"
    other = load(path, test_fraction=0.4, split_seed=2)
    assert other.fingerprint() != dataset.fingerprint()
    with helpers.usage_error("no column split", "Omit them"):
        load(path, test_split="test")


def test_classes_that_are_numbers_are_in_their_order(images):
    numbers = {"cat": "10", "dog": "9"}
    lines = [f"{file},{numbers[label]},{split}" for file, label, split, _ in ROWS]
    assert load(write(images, ["file,label,split", *lines])).class_names == ("9", "10")


def test_splits_can_be_named_and_others_are_left_out_with_a_note(images):
    lines = [WITH_SPLITS[0].replace("train", "extra"), *WITH_SPLITS[1:]]
    path, notes = write(images, ["file,label,split", *lines]), []
    dataset = load(path, notes.append, train_split="test", test_split="train")
    assert sorted(values(dataset.test_images)) == [10, 11, 12, 21, 22]
    assert notes == ["csv-list: left out 1 image of other splits"]
    with helpers.usage_error("no dev split", "extra, test, train", "--test_split"):
        load(path, test_split="dev")
    with helpers.usage_error("both 'test'"):
        load(path, train_split="test", test_split="test")


def test_missing_files_are_counted_and_the_first_ten_named(images):
    lines = [f"gone{index}.png,cat" for index in range(12)]
    path = write(images, ["file,label", *lines, "dog/0.png,dog", "dog/1.png,dog"])
    with helpers.usage_error("12 of 14", "gone0.png (No such file", "and 2 more"):
        load(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,class"], ("first line must be file,label", "'image,class'")),
        (["file,label,label"], ("first line must be file,label",)),
        ([], ("first line must be file,label",)),
        (["file,label"], ("lists no images",)),
        (["file,label", "cat/0.png"], ("line 2", "no label")),
        (["file,label", "a,b.png,cat"], ("line 2", "quote")),
        (["file,label", "cat/0.png,cat", "cat/../cat/0.png,dog"], ("again",)),
        (["file,label", "cat/0.png,cat", "cat/1.png,cat"], ("only one class, 'cat'",)),
        (
            ["file,label,split", *WITH_SPLITS, "x.png,wolf,test"],
            ("1 test image", "without a training image: wolf"),
        ),
    ],
    ids=str,
)
def test_a_table_that_can_not_be_used_is_refused(images, lines, words):
    with helpers.usage_error("list.csv", *words):
        load(write(images, lines))


def test_a_file_that_is_no_table_is_refused(images):
    latin = write(images, ["file,label", "\xe9.png,cat"], encoding="latin-1")
    for path, words in (
        (images / "none.csv", "No such file"),
        (images, "not a file"),
        (latin, "utf-8"),
        (images / "cat" / "0.png", "first line must be"),
    ):
        with helpers.usage_error(path, words):
            datasets.check_available(f"csv:{path}")
