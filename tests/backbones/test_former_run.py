import json

import pytest

from normtest_tf.backbones import former_run
from normtest_tf.normalization import IMAGENET


def note(folder, content):
    (folder / "config.json").write_text(content, encoding="utf-8")
    return former_run.statistics_note(folder / "model.keras", IMAGENET)


def recorded(mean, std):
    statistics = {"mean": mean, "std": std}
    return json.dumps({"resolved": {"statistics": statistics}})


def test_other_statistics_are_given_as_flags(tmp_path):
    text = note(tmp_path, recorded([0.49139968, 0.5, 0.25], [1, 2, 3]))
    assert text.endswith("pass --pretrain_mean=0.4914,0.5,0.25 --pretrain_std=1,2,3")


def test_the_statistics_that_are_assumed_anyway_are_not_mentioned(tmp_path):
    assert note(tmp_path, recorded(list(IMAGENET.mean), list(IMAGENET.std))) is None
    as_flags_had_them = [value * 1.00001 for value in IMAGENET.mean]
    assert note(tmp_path, recorded(as_flags_had_them, list(IMAGENET.std))) is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"resolved": 7}',
        '{"resolved": {"statistics": null}}',
        recorded([1, 2], [1, 2, 3]),
        recorded([1, 2, 3], ["1", "2", "3"]),
        recorded([1, 2, 3], None),
    ],
)
def test_a_folder_that_does_not_say_gives_no_note(tmp_path, content):
    assert note(tmp_path, content) is None


def test_a_model_outside_of_a_run_gives_no_note(tmp_path):
    assert former_run.statistics_note(tmp_path / "model.keras", IMAGENET) is None
