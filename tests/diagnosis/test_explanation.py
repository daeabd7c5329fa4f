"""The whole diagnosis, of small networks, and the program that makes it."""

import json

import keras
import numpy as np
import pytest

from normtest_tf import backbones, datasets, diagnosis
from normtest_tf.analysis import policies
from normtest_tf.backbones import registry
from normtest_tf.normalization import IMAGENET, ChannelStatistics, channel_statistics
from normtest_tf.normalization.statistics import pixel_distance
from normtest_tf.runs import RunConfig
from tests.diagnosis.conftest import random_images
from tests.helpers import programs

LABELS = np.arange(72) % 4


@pytest.fixture(scope="module")
def many():
    return random_images(72)


@pytest.fixture(scope="module")
def found(resnet, many):
    before = resnet.get_weights()
    names = ["instance", "minmax", "finetune_mean_of_stds"]
    found = diagnosis.explain(resnet, many, labels=LABELS, settings=names)
    for mine, own in zip(resnet.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, own)  # The model is not changed.
    return found


def test_it_has_a_finding_for_every_setting_and_layer(found):
    names = [setting.name for setting in found.settings]
    assert names[:2] == ["pretrain", "finetune"]
    assert len(names) == 5
    for setting in found.settings:
        assert len(setting.distances) == len(setting.reestimated) == 9
        assert set(setting.displacements) == {"stored", "batch", "reestimated"}
        assert set(setting.accuracies) == {"stored", "reestimated"}
        assert max(setting.reestimated) < max(setting.distances) / 4


def test_findings_agree_with_their_parts(found, resnet, many):
    pretrain, finetune = found.setting("pretrain"), found.setting("finetune")
    assert set(pretrain.displacements.values()) == {0.0}
    np.testing.assert_allclose(finetune.input_mean, 0, atol=1e-3)
    np.testing.assert_allclose(finetune.input_std, 1, atol=1e-3)
    own = channel_statistics(many, "the images")
    assert finetune.statistics.mean == own.mean
    parts = diagnosis.decomposition(
        resnet, many, finetune.statistics, pretrain.statistics
    )
    for mode, expected in parts.items():
        assert found.parts[mode].total == pytest.approx(expected.total, rel=1e-2)
        assert finetune.displacements[mode] == pytest.approx(expected.total, rel=1e-2)
    assert found.pixel_distance == pixel_distance(finetune.statistics, IMAGENET)
    # Each way of training rests on what was measured for it.
    assert [(a.training, a.points) for a in found.advice] == [
        ("head", finetune.differences["stored"].points),
        ("head_recalibrated", finetune.differences["reestimated"].points),
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_without_batch_normalization_has_one_mode(many):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(6, 3, padding="same"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="head"),
        ]
    )
    found = diagnosis.explain(model, many, labels=LABELS)
    assert found.layers == ()
    assert list(found.parts) == ["stored"]
    assert found.parts["stored"].border > 0
    assert [advice.training for advice in found.advice] == ["head"]
    assert any("no batch normalization" in note for note in found.notes)
    assert "re-estimated" not in found.to_text().partition("Notes")[0]
    whole = diagnosis.explain(model, many, labels=LABELS, whole=True)
    assert whole.parts["stored"].border != found.parts["stored"].border


def test_what_limits_it_is_noted(many):
    wrong = ChannelStatistics((0.0, 0.0, 0.0), (0.01,) * 3, "fixed", "a mistake")
    scaled = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255, name="scaled"),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
        ]
    )
    found = diagnosis.explain(
        scaled, many[:8], labels=[1] * 8, pretraining=wrong, training_images=many
    )
    own = channel_statistics(many, "the images")
    assert found.setting("finetune").statistics.mean == own.mean
    for words in (
        "far from the 0 and 1",
        "normalises its inputs itself, in 'scaled'",
        "does not start with one plain convolution",
    ):
        assert any(words in note for note in found.notes), words
    assert found.setting("finetune").accuracies == {}
    found = diagnosis.explain(scaled, many[:8], pretraining=registry.CAFFE)
    assert not any("far from the 0 and 1" in note for note in found.notes)


def test_random_weights_get_no_advice(many):
    random = backbones.resolve("cifar_resnet8", "none").build((32, 32, 3))
    found = diagnosis.explain(random, many[:8], labels=LABELS[:8], trained=False)
    assert found.advice == ()
    assert "Advice on a frozen backbone needs labels" in found.to_text()


def test_the_program_prints_and_writes_the_diagnosis_and_the_shift(tmp_path):
    done = programs.run(
        "explain",
        "--dataset=digits",
        "--model=cifar_resnet8",
        "--examples=70",
        "--shift=contrast:0.50",
        *("--subset=seeded", "--train_examples=80", "--seed=1"),
        f"--out_dir={tmp_path}/out",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) < 34
    assert max(map(len, done.stdout.replace(str(tmp_path), "").splitlines())) <= 88
    out = tmp_path / "out"
    written = {path.name for path in out.iterdir()}
    pages = {"explanation.html", "explanation.json", "probes.csv"}
    assert written == pages | {"distances.png", "distances.svg"}
    found = json.loads((out / "explanation.json").read_text())
    assert found["images"] == 70
    options = {"subset": "seeded", "train_examples": 80, "seed": 1}
    config = RunConfig("digits", "cifar_resnet8", shift="contrast:0.5", **options)
    drawn = config.subset_of(datasets.load("digits", config.reading)).train_images
    own = channel_statistics(drawn, "the images of that run")
    assert found["settings"][1]["statistics"]["mean"] == list(own.mean)
    assert len(found["settings"][1]["distances"]) == 9
    assert found["data"] == "digits+contrast_0.5"
    assert found["shift"] == "contrast:0.5"
    page = (out / "explanation.html").read_text()
    assert "data:image/svg+xml" in page
    assert found["model"] in page
    said = policies.read_probes(out / "probes.csv")
    shifted = "digits+contrast_0.5"
    assert said == {
        (shifted, f"cifar_resnet8+{train}"): advice["take"] == "finetune"
        for train, advice in zip(
            ("head", "head+recalibrated"), found["advice"], strict=True
        )
    }
