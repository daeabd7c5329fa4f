"""What policies lose, by hand; and the committed studies', with NumPy alone."""

import csv
import json

import numpy as np
import pytest

from normtest_tf.analysis import comparisons, policies, results
from normtest_tf.report import rows, sections
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run


def write_pair(folder, dataset, gain, far, **values):
    """Writes a pair in which `finetune` is better by points, on near or far images."""
    write_run(folder, dataset, normalization="pretrain", final=0.5, **values)
    values["final"] = 0.5 + gain / 100
    path = (
        write_run(folder, dataset, normalization="finetune", **values) / "config.json"
    )
    config = json.loads(path.read_text())
    near = {"mean": [0.485, 0.456, 0.406], "std": [0.27, 0.26, 0.28]}
    config["resolved"]["statistics"] |= near | ({"mean": [0.1] * 3} if far else {})
    path.write_text(json.dumps(config))


def test_losses_are_those_to_the_better_setting_of_each_cell(tmp_path):
    write_pair(tmp_path, "cifar10", -1, far=False)
    write_pair(tmp_path, "cifar100", 0.5, far=False)
    write_pair(tmp_path, "svhn_cropped", -0.25, far=True)
    write_pair(tmp_path, "cifar10+contrast_0.2", 4, far=True, shift="contrast:0.2")
    found = results.read(tmp_path)
    compared = comparisons.compare(found, "finetune")
    losses = {each.policy: each for each in policies.losses(found, compared)}
    pretrain, finetune, pixels = losses.values()
    assert list(losses)[:2] == ["always pretrain", "always finetune"]
    for each, unshifted, shifted in (
        (pretrain, [0, 0.5, 0], [4]),
        (finetune, [1, 0, 0.25], [0]),
        (pixels, [0, 0.5, 0.25], [0]),
    ):
        assert each.unshifted == pytest.approx(unshifted)
        assert each.shifted == pytest.approx(shifted)
    table = sections.policy_table(rows.policy_rows(found, [compared])).splitlines()
    assert table[0] == "| policy | all (4) | unshifted (3) | shifted (1) |"
    assert table[2] == ("| always pretrain | 1.12 (4.00) | 0.17 (0.50) | 4.00 (4.00) |")
    few = comparisons.compare(found, "finetune")
    few.judgements.popitem()
    few.judgements.popitem()
    assert rows.policy_rows(found, [few]) == []


def read(study, name):
    text = (ROOT / "plots" / "studies" / study / name).read_text()
    return list(csv.DictReader(text.splitlines()))


def test_the_committed_losses_follow_from_the_committed_effects():
    for study in ("cpu", "dose", "gpu", "heldout", "imagenet"):
        effects = [
            float(row["mean"])
            for row in read(study, "effects.csv")
            if (row["treatment"], row["unit"]) == ("finetune", "pairs")
            and row["control"] == "pretrain"
        ]
        found = {
            row["policy"]: row
            for row in read(study, "policies.csv")
            if row["cells"] == "all"
        }
        better = np.maximum(effects, 0)
        for policy, taken in (("pretrain", 0), ("finetune", effects)):
            row = found[f"always {policy}"]
            assert int(row["n"]) == len(effects)
            lost = better - taken
            assert float(row["mean_lost"]) == pytest.approx(lost.mean(), rel=1e-4)
            assert float(row["worst_lost"]) == pytest.approx(lost.max(), rel=1e-4)
