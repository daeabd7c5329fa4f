"""Images in memory, or in a temporary file if they don't fit there: all is equal."""

import dataclasses
import functools
import shutil
import tempfile
import types

import numpy as np
import pytest

from normtest_tf import datasets, errors, runs
from normtest_tf.runs import finetuning
from normtest_tf.system import files
from normtest_tf.text import size_in_words
from tests.datasets import helpers
from tests.helpers import faults
from tests.helpers.tiny_runs import new_config, outcome

SIZE = 6
BYTES = 28 * SIZE * SIZE * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return helpers.write_photographs(tmp_path_factory.mktemp("photos"), 14)


def load(folder, notify=lambda text: None, **options):
    return helpers.load_folder(
        folder, notify, image_size=SIZE, test_fraction=0.3, **options
    )


def of_both(folder, **options):
    return load(folder, **options), load(folder, memory_budget=BYTES - 1, **options)


def assert_equal(kept, mapped):
    assert isinstance(kept, np.ndarray)
    assert isinstance(mapped, datasets.MappedImages)
    assert (kept.shape, kept.dtype) == (mapped.shape, mapped.dtype)
    np.testing.assert_array_equal(np.asarray(mapped), kept)


def test_images_in_a_file_are_those_in_memory(folder):
    kept, mapped = of_both(folder, shift="cast:1,0.6,0.3")
    assert_equal(kept.train_images, mapped.train_images)
    assert_equal(kept.test_images, mapped.test_images)
    assert_equal(kept.train_images[3:9], mapped.train_images[3:9])
    for positions in ([0], [5, 0, 3], []):
        positions = np.array(positions, np.int32)
        batch = mapped.train_images.read(positions)
        np.testing.assert_array_equal(batch, kept.train_images[positions])
    for counts in ((7, 3), (None, None, 4)):
        one, other = kept.take(*counts), mapped.take(*counts)
        assert_equal(one.train_images, other.train_images)
        assert one.fingerprint() == other.fingerprint()
    one, other = (
        datasets.split_validation(which, 6, seed=1) for which in (kept, mapped)
    )
    assert one[0].fingerprint() == other[0].fingerprint()
    assert_equal(one[1], other[1])
    np.testing.assert_array_equal(one[2], other[2])
    one, other = (which.shifted("invert") for which in (kept, mapped))
    assert_equal(one.train_images, other.train_images)


def test_the_default_budget_is_a_quarter_of_what_is_free(folder, monkeypatch):
    notes = []
    monkeypatch.setattr(files, "free_memory", lambda: 4 * BYTES)
    assert isinstance(load(folder, notes.append).train_images, np.ndarray)
    assert notes == []
    monkeypatch.setattr(files, "free_memory", lambda: 4 * BYTES - 4)
    assert not isinstance(load(folder, notes.append).train_images, np.ndarray)
    assert "28 images of 6x6 take 3.0 KB" in notes[0]
    assert f"temporary file in {tempfile.gettempdir()}" in notes[0]


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("4GB", 4_000_000_000, "4.0 GB"),
        ("500MB", 500_000_000, "500 MB"),
        ("1.5 GiB", 3 * 2**29, "1.6 GB"),
        ("2kb", 2000, "2.0 KB"),
        ("77", 77, "77 bytes"),
    ],
)
def test_sizes_are_read_and_written(text, size, words):
    assert datasets.parse_size(text) == size
    assert size_in_words(size) == words


@pytest.mark.parametrize("text", ["", "0MB", "-1GB", "4 apples", "1e9", "9" * 99])
def test_what_is_no_size_is_refused(text):
    with helpers.usage_error("--memory_budget takes a size such as"):
        datasets.parse_size(text)


def test_the_temporary_file_has_no_name(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert_equal(*(one.train_images for one in of_both(folder)))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused(folder, monkeypatch):
    free = types.SimpleNamespace(free=BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with helpers.usage_error("28 images", "3.0 KB", "TMPDIR"):
        of_both(folder)
    monkeypatch.undo()
    full = functools.partial(open, "/dev/full", "wb")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with helpers.usage_error("can't write to", "No space left"):
        of_both(folder)


def test_a_run_is_the_same_in_memory_and_in_a_file_and_may_change(tmp_path, tiny):
    root = helpers.write_photographs(tmp_path / "pets", 28)
    options = {"image_size": 16, "validation_examples": 8, "test_fraction": 0.25}
    config = dataclasses.replace(
        new_config(tmp_path / "kept", **options), dataset=f"folder:{root}"
    )
    finetuning.run(config)
    expected = outcome(config)
    in_file = dataclasses.replace(
        config, results_dir=str(tmp_path / "mapped"), memory_budget="30KB"
    )
    notes = []
    with faults.after_step(3, 1), pytest.raises(faults.Killed):
        finetuning.run(in_file, notify=notes.append)
    how = "0.25 of each class for testing, drawn with seed 0"
    assert f"folder-pets has no test split: {how}" in notes
    assert any("kept in a temporary file" in note for note in notes)
    in_memory = dataclasses.replace(in_file, memory_budget=None)
    assert finetuning.run(in_memory).resumed_epochs == (2,)
    assert outcome(in_file) == expected
    records = [runs.ConfigRecord.read(one.folder) for one in (config, in_file)]
    assert records[0].resolved.division == how
    for name in ("requested", "resolved", "data_fingerprint"):
        assert getattr(records[0], name) == getattr(records[1], name)
    other = dataclasses.replace(config, split_seed=1)
    with pytest.raises(errors.UsageError, match=r"split_seed=None there, .*=1 now"):
        finetuning.run(other)
