"""CIFAR10 and CIFAR100 through TensorFlow Datasets: prepared, absent and corrupt."""

import dataclasses
import os
import shutil
import socket
import struct
import time

import numpy as np
import pytest

from normtest_tf import datasets, normalization
from normtest_tf.system import files
from tests.datasets import helpers

EXAMPLES = {"train": 12, "test": 5}


def prepare_cifar10(data_dir):
    """Prepares a tiny CIFAR10 whose image i is a plain i with label i % 10."""
    import tensorflow_datasets as tfds

    def examples(split):
        for index in range(EXAMPLES[split]):
            image = np.full([32, 32, 3], index, np.uint8)
            record = {"id": f"{split}_{index:05d}", "image": image, "label": index % 10}
            yield index, record

    official = type(tfds.builder("cifar10", data_dir=data_dir, try_gcs=False))

    class Cifar10(official, skip_registration=True):
        def _split_generators(self, *_, **__):
            return {split: examples(split) for split in EXAMPLES}

    builder = Cifar10(data_dir=data_dir)
    builder.info.features["label"].names = datasets.DATASETS["cifar10"].class_names
    builder.download_and_prepare()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    prepare_cifar10(path)
    return path


@pytest.fixture
def unreachable(monkeypatch):
    """Points CIFAR10's download at a port of this machine that nothing serves."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar.tar.gz"
    description = dataclasses.replace(datasets.DATASETS["cifar10"], download_url=url)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", description)
    monkeypatch.setenv("NO_PROXY", "*")


def load(data_dir, name="cifar10"):
    return datasets.load(name, datasets.ReadingOptions(data_dir=str(data_dir)))


def copy_of(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (folder,) = (tmp_path / "copy" / "cifar10").iterdir()
    return tmp_path / "copy", folder


def test_images_are_read_in_the_official_order(prepared):
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=prepared, try_gcs=False)
    stored = builder.as_dataset(split="train", batch_size=-1)["label"].numpy().tolist()
    official = [index % 10 for index in range(EXAMPLES["train"])]
    assert stored != official, "the fixture's order must differ to test anything"
    dataset = load(prepared)
    assert dataset.name == "cifar10"
    assert dataset.train_labels.tolist() == official
    assert dataset.train_labels.dtype == np.int32
    assert dataset.train_images[:, 0, 0, 0].tolist() == list(range(12))
    assert dataset.test_images[:, 0, 0, 0].tolist() == list(range(5))
    assert dataset.class_names == datasets.DATASETS["cifar10"].class_names


def test_prepared_data_are_found_in_the_default_directory(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(datasets.load("cifar10").train_labels) == 12


def test_class_names_are_those_of_tfds(prepared):
    (folder,) = (prepared / "cifar10").iterdir()
    names = (folder / "label.labels.txt").read_text().split()
    assert tuple(names) == datasets.DATASETS["cifar10"].class_names
    cifar100 = datasets.DATASETS["cifar100"].class_names
    assert (cifar100[0], cifar100[50], cifar100[99]) == ("apple", "mouse", "worm")
    assert list(cifar100) == sorted(cifar100)


def test_a_missing_data_dir_is_refused(tmp_path):
    with helpers.usage_error(tmp_path / "none", "does not exist"):
        datasets.load(
            "cifar10", datasets.ReadingOptions(data_dir=str(tmp_path / "none"))
        )


def test_a_file_is_no_data_dir(tmp_path):
    (tmp_path / "file").write_text("")
    with helpers.usage_error(tmp_path / "file", "is not a folder"):
        datasets.load(
            "cifar10", datasets.ReadingOptions(data_dir=str(tmp_path / "file"))
        )


def test_being_offline_is_reported_within_seconds(tmp_path, unreachable):
    start = time.monotonic()
    with helpers.usage_error(
        "cifar10 is not prepared",
        tmp_path / "cifar10",
        "127.0.0.1 can't be reached",
        "Connection refused",
        "--data_dir",
        "download_and_prepare()",
        "--dataset=digits",
    ):
        load(tmp_path)
    assert time.monotonic() - start < 15
    assert not list(tmp_path.iterdir())


def test_a_failed_download_is_reported(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise ConnectionError("connection\nreset")

    monkeypatch.setattr(files, "host_problem", lambda url: None)
    builder = type(tfds.builder("cifar10", data_dir=tmp_path, try_gcs=False))
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with helpers.usage_error("download failed (connection reset)", "--data_dir"):
        load(tmp_path)


@pytest.mark.parametrize("pattern", ["*train.tfrecord*", "*test.tfrecord*"])
@pytest.mark.parametrize("kept", [0, 200], ids=["emptied", "truncated"])
def test_corrupt_records_are_reported(prepared, tmp_path, pattern, kept):
    data_dir, folder = copy_of(prepared, tmp_path)
    (path,) = folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:kept])
    with helpers.usage_error("cifar10", folder, "can't be read", "--data_dir"):
        load(data_dir)


def test_records_that_end_early_are_reported(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    (path,) = folder.glob("*train.tfrecord*")
    content = path.read_bytes()
    # A record is its length, a checksum of that, the data, a checksum of those.
    first = 8 + 4 + struct.unpack("<Q", content[:8])[0] + 4
    path.write_bytes(content[:first])
    with helpers.usage_error(folder, "can't be read", "--data_dir"):
        load(data_dir)


def test_corrupt_metadata_are_reported(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    (folder / "dataset_info.json").write_text("{")
    with helpers.usage_error("cifar10", "can't be read", "--data_dir"):
        load(data_dir)


def test_missing_records_are_reported(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    for path in folder.glob("*train.tfrecord*"):
        path.unlink()
    with helpers.usage_error("cifar10", "can't be read"):
        load(data_dir)


@pytest.mark.realdata
@pytest.mark.skipif(
    "NORMTEST_DATA_DIR" not in os.environ, reason="NORMTEST_DATA_DIR is not set"
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_has_the_published_statistics(name):
    dataset = load(os.environ["NORMTEST_DATA_DIR"], name)
    description = datasets.DATASETS[name]
    assert len(dataset.train_labels) == description.train_examples
    assert len(dataset.test_labels) == description.test_examples
    measured = normalization.channel_statistics(dataset.train_images, name)
    published = description.published_statistics
    np.testing.assert_allclose(measured.mean, published.mean, atol=3e-4)
    np.testing.assert_allclose(measured.std, published.std, atol=3e-4)
    counts = np.bincount(dataset.train_labels)
    assert set(counts) == {description.train_examples // description.num_classes}
