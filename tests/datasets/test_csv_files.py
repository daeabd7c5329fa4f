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


@pytest.fixture
def images(tmp_path):
    for file, _, _, value in ROWS:
        helpers.write_image(tmp_path / file, (value, 0, 0))
    return tmp_path


def write(folder, lines, encoding="utf-8", end="\n"):
    path = folder / "list.csv"
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


def with_splits(folder, **change):
    lines = [f"{file},{label},{split}" for file, label, split, _ in ROWS]
    return write(folder, ["file,label,split", *lines], **change)


def load(path, notify=lambda text: None, **options):
    return datasets.load(f"csv:{path}", datasets.ReadingOptions(**options), notify)


def values(images):
    return np.asarray(images)[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    "change", [{}, {"encoding": "utf-8-sig"}, {"end": "\r\n"}], ids=str
)
def test_a_table_with_splits_gives_images_and_labels(images, change):
    dataset = load(with_splits(images, **change))
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


def test_the_columns_may_be_in_any_order_with_others_among_them(images):
    lines = [f"{split},x,{label},{file}" for file, label, split, _ in ROWS]
    path = write(images, ["split,note, label,file", *lines])
    assert load(path).fingerprint() == load(with_splits(images)).fingerprint()


def test_a_table_without_splits_is_divided(images):
    path = write(images, ["file,label", *(f"{row[0]},{row[1]}" for row in ROWS)])
    dataset = load(path, test_fraction=0.4, split_seed=1)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert np.bincount(dataset.train_labels).tolist() == [3, 3]
    seen = values(dataset.train_images) + values(dataset.test_images)
    assert sorted(seen) == sorted(row[3] for row in ROWS)
    assert dataset.division == "0.4 of each class for testing, drawn with seed 1"
    other = load(path, test_fraction=0.4, split_seed=2)
    assert other.fingerprint() != dataset.fingerprint()


def test_blank_lines_and_capitals_in_the_first_line_do_not_matter(images):
    lines = [f"{file},{label},{split}" for file, label, split, _ in ROWS]
    path = write(images, ["", ",,", "File,LABEL,Split", "", *lines])
    assert load(path).fingerprint() == load(with_splits(images)).fingerprint()


def test_a_file_listed_under_two_names_is_listed_twice(images):
    for other in ("./cat/0.png", "cat/../cat/0.png", str(images / "cat" / "0.png")):
        lines = ["file,label", "cat/0.png,cat", f"{other},dog"]
        with helpers.usage_error("twice"):
            load(write(images, lines))


def test_classes_that_are_numbers_are_in_their_order(images):
    numbers = {"cat": "10", "dog": "9"}
    lines = [f"{file},{numbers[label]},{split}" for file, label, split, _ in ROWS]
    assert load(write(images, ["file,label,split", *lines])).class_names == ("9", "10")


def test_other_splits_are_left_out_with_a_note(images):
    lines = [f"{file},{label},{split}" for file, label, split, _ in ROWS]
    lines[0] = lines[0].replace("train", "extra")
    notes = []
    dataset = load(write(images, ["file,label,split", *lines]), notes.append)
    assert len(dataset.train_labels) == 5
    assert notes == ["csv-list: left out 1 image of extra"]


def test_splits_can_be_named(images):
    dataset = load(with_splits(images), train_split="test", test_split="train")
    assert sorted(values(dataset.test_images)) == [10, 11, 12, 20, 21, 22]
    with helpers.usage_error("'dev'", "only of test, train", "--test_split"):
        load(with_splits(images), test_split="dev")
    with helpers.usage_error("both 'test'"):
        load(with_splits(images), train_split="test", test_split="test")


def test_missing_files_are_counted_and_the_first_ten_named(images):
    lines = [f"gone{index:02}.png,cat" for index in range(12)]
    path = write(images, ["file,label", *lines, "dog/0.png,dog"])
    with helpers.usage_error("12 of 13 files", "gone00.png", "gone09.png and 2 more"):
        load(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,class"], ("first line must be file,label", "'image,class'")),
        (["file,label,label"], ("first line must be file,label",)),
        ([], ("first line must be file,label",)),
        (["file,label"], ("lists no images",)),
        (["file,label", "cat/0.png"], ("line 2", "does not have a value")),
        (["file,label", "cat/0.png,"], ("line 2", "does not have a value")),
        (["file,label", "a,b.png,cat"], ("line 2", "double quotes")),
        (["file,label", "cat/0.png,cat", "cat/0.png,dog"], ("cat/0.png twice",)),
        (["file,label", "cat/0.png,cat", "cat/1.png,cat"], ("only one class, 'cat'",)),
        (
            ["file,label,split", "cat/0.png,cat,train", "dog/0.png,dog,test"],
            ("only one class",),
        ),
        (
            [
                "file,label,split",
                "cat/0.png,cat,train",
                "dog/0.png,dog,train",
                "dog/1.png,wolf,test",
            ],
            ("test images have labels that no train image has: wolf",),
        ),
        (
            ["file,label,split", "cat/0.png,cat,train"],
            ("no image of the split 'test'",),
        ),
    ],
    ids=str,
)
def test_a_table_that_can_not_be_used_is_refused(images, lines, words):
    with helpers.usage_error("list.csv", *words):
        load(write(images, lines))


def test_a_file_that_is_no_table_is_refused(images):
    with helpers.usage_error("none.csv does not exist"):
        load(images / "none.csv")
    with helpers.usage_error("is not a file"):
        load(images)
    with helpers.usage_error("can't be read as CSV in UTF-8"):
        load(write(images, ["file,label", "\xe9.png,cat"], encoding="latin-1"))
    with helpers.usage_error("0.png", "can't be read as CSV"):
        datasets.check_available(f"csv:{images / 'cat' / '0.png'}")


def test_a_table_without_splits_has_none_to_name(images):
    path = write(images, ["file,label", *(f"{row[0]},{row[1]}" for row in ROWS)])
    with helpers.usage_error("no column split", "Omit them"):
        load(path, test_split="test")
