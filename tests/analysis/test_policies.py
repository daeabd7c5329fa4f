"""What policies lose, by hand."""

import json

import pytest

from normtest_tf import errors
from normtest_tf.analysis import comparisons, policies, results
from normtest_tf.report import rows, sections
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
    write_pair(tmp_path, "cifar10", -1, far=False, train="head")
    write_pair(tmp_path, "cifar100", 0.5, far=False)
    write_pair(tmp_path, "svhn_cropped", -0.25, far=True)
    shifted = {"shift": "contrast:0.2", "train": "head"}
    write_pair(tmp_path, "cifar10+contrast_0.2", 4, far=True, **shifted)
    found = results.read(tmp_path)
    compared = comparisons.compare(found, "finetune")
    path = tmp_path / "probes.csv"
    path.write_text(
        "dataset,model,points,standard_error\n"
        "cifar10,resnet18+head,3.9,2\n"
        "dataset,model,points,standard_error\n"
        "cifar10+contrast_0.2,resnet18+head,4.1,2\n"
        "tf_flowers,resnet18+head,9,1\n"
    )
    probes = policies.read_probes(path)
    twice = tmp_path / "twice.csv"
    twice.write_text(path.read_text() + "cifar10,resnet18+head,1,2\n")
    with pytest.raises(errors.UsageError, match="it has two rows of cifar10"):
        policies.read_probes(twice)
    losses = policies.losses(found, compared, probes)
    assert list(losses)[:2] == ["always pretrain", "always finetune"]
    expected = [0, 4, 0.5, 0], [1, 0, 0, 0.25], [0, 0, 0.5, 0.25], [0, 0]
    for by_cell, lost in zip(losses.values(), expected, strict=True):
        assert list(by_cell.values()) == pytest.approx(lost)
    lines = rows.policy_rows(found, [compared], probes)
    table = sections.policy_table(lines).splitlines()
    assert table[0].startswith("| cells | always pretrain | always finetune | finetune")
    zero = "0.00 (0.00)"
    assert table[2:] == [
        "| all (4) | 1.12 (4.00) | 0.31 (1.00) | 0.19 (0.50) |  |",
        "| unshifted (3) | 0.17 (0.50) | 0.42 (1.00) | 0.25 (0.50) |  |",
        "| shifted (1) | 4.00 (4.00) | 0.00 (0.00) | 0.00 (0.00) | 0.00 (0.00) |",
        "| head (2) | 2.00 (4.00) | 0.50 (1.00) | 0.00 (0.00) | 0.00 (0.00) |",
        f"| head unshifted (1) | {zero} | 1.00 (1.00) | {zero} | {zero} |",
        "| head shifted (1) | 4.00 (4.00) | 0.00 (0.00) | 0.00 (0.00) | 0.00 (0.00) |",
        "| moving (2) | 0.25 (0.50) | 0.12 (0.25) | 0.38 (0.50) |  |",
        "| moving unshifted (2) | 0.25 (0.50) | 0.12 (0.25) | 0.38 (0.50) |  |",
    ]
    compared.judgements.popitem()
    compared.judgements.popitem()
    assert rows.policy_rows(found, [compared], {}) == []
