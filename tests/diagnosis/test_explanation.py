"""The whole diagnosis, of small networks."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import diagnosis, errors
from normtest_tf.normalization import ChannelStatistics, channel_statistics
from tests.diagnosis.conftest import random_images

LABELS = np.arange(72) % 4


@pytest.fixture(scope="module")
def many():
    return random_images(72)


@pytest.fixture(scope="module")
def found(resnet, many):
    return diagnosis.explain(resnet, many, labels=LABELS)


def test_it_has_a_finding_for_every_setting_and_layer(found):
    assert found.settings[0].name == "pretrain"
    assert {"pretrain", "finetune", "instance", "minmax"} <= {
        s.name for s in found.settings
    }
    norms = len(found.layers)
    assert norms == 9
    for setting in found.settings:
        assert len(setting.distances) == len(setting.reestimated) == norms
        assert set(setting.displacements) == {"stored", "batch", "reestimated"}
        assert set(setting.accuracies) == {"stored", "reestimated"}


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


def test_reestimated_statistics_are_nearer(found):
    for setting in found.settings:
        before = max(layer.total for layer in setting.distances)
        assert max(layer.total for layer in setting.reestimated) < before / 4


def test_the_model_is_not_changed(resnet, many):
    before = resnet.get_weights()
    diagnosis.explain(resnet, many[:8], settings=["finetune"])
    for mine, own in zip(resnet.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_json_holds_all_numbers_and_text_says_the_answer(found):
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    by_training = {p["training"]: p for p in values["predictions"]}
    finetune = next(s for s in values["settings"] if s["name"] == "finetune")
    for training, mode in (("all", "batch"), ("head", "stored")):
        predicted = by_training[training]["displacement"]
        assert predicted == finetune["displacements"][mode]
    text = found.to_text()
    assert "What to expect of finetune instead of pretrain" in text
    assert "all layers" in text
    assert "bn1" in text
    assert found.to_markdown().startswith("# ")
    assert "| --- |" in found.to_markdown()


def test_a_data_set_of_pairs_is_diagnosed_as_arrays_are(found, resnet, many):
    dataset = tf.data.Dataset.from_tensor_slices((many, LABELS)).batch(16)
    again = diagnosis.explain(resnet, dataset)
    assert again.to_json() == found.to_json()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_without_batch_normalization_is_said_what_can_be(many):
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
    assert {p.training for p in found.predictions} == {"all", "head"}
    assert any("no batch normalization" in note for note in found.notes)
    assert "re-estimated" not in found.to_text().partition("Notes")[0]


def test_instance_alone_cannot_be_split_but_is_compared(resnet, many):
    found = diagnosis.explain(resnet, many, settings=["instance"])
    assert found.treatment == "instance"
    assert found.parts == {}
    assert any("can't be split" in note for note in found.notes)
    assert found.predictions


def test_statistics_that_contradict_the_images_are_noted(resnet, many):
    wrong = ChannelStatistics((0.0, 0.0, 0.0), (0.01,) * 3, "fixed", "a mistake")
    found = diagnosis.explain(resnet, many, settings=["finetune"], pretraining=wrong)
    assert any("contradict the images" in note for note in found.notes)


def test_bad_input_is_refused_in_one_line(resnet, many):
    with pytest.raises(errors.UsageError, match="at least 2 RGB images"):
        diagnosis.explain(resnet, many[:1])
    with pytest.raises(
        errors.UsageError, match=r"can't compute features of images of 16x16"
    ):
        diagnosis.explain(resnet, random_images(4, size=16))
    with pytest.raises(errors.UsageError, match="unknown normalization 'finetun'"):
        diagnosis.explain(resnet, many, settings=["finetun"])


def test_a_model_that_normalises_its_inputs_itself_is_noted(resnet, many):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255, name="scaled"),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
        ]
    )

    def notes(of):
        found = diagnosis.explain(of, many[:8], settings="finetune")
        return [note for note in found.notes if "normalises its inputs itself" in note]

    assert "in 'scaled'," in notes(model)[0]
    assert notes(resnet) == []


def test_training_images_may_be_pixels_of_another_dtype(resnet, many):
    def mean(training_images):
        found = diagnosis.explain(
            resnet, many[:4], settings="finetune", training_images=training_images
        )
        return found.setting("finetune").statistics.mean

    assert mean(many.astype("float32")) == mean(many)
    for wrong, words in ((many[:0], "shape"), (many / 255, "normalised")):
        with pytest.raises(errors.UsageError, match=f"training_images must.*{words}"):
            mean(wrong)
