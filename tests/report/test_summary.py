import pytest

from normtest_tf.analysis import comparisons, results
from normtest_tf.report import sections
from tests.helpers.fake_results import write_run


@pytest.fixture
def pairs(tmp_path):
    for seed, finetune, pretrain in ((1, 0.85, 0.8), (2, 0.91, 0.9)):
        write_run(tmp_path, normalization="finetune", seed=seed, final=finetune)
        write_run(tmp_path, normalization="pretrain", seed=seed, final=pretrain)
    found = results.read(tmp_path)
    return found, comparisons.compare(found, "finetune"), found.cells[0]


def test_every_pair_has_a_line(pairs):
    assert sections.pair_table(*pairs).splitlines() == [
        "seed  pretrain  finetune  finetune - pretrain",
        "1     80.00%    85.00%    +5.00 points",
        "2     90.00%    91.00%    +1.00 points",
    ]


def test_the_summary_has_interval_and_verdict(pairs):
    _, comparison, cell = pairs
    # t(0.975, 1) = 12.7062; the half width of 5 and 1 is twice that.
    numbers, verdict = sections.sentence(comparison, cell).splitlines()
    assert numbers == (
        "finetune - pretrain: +3.00 points, 95% interval -22.41 to +28.41, n = 2 pairs."
    )
    assert verdict.startswith("Undecided: +3.00 ± 25.41 points; ")


def test_a_single_pair_has_no_interval(tmp_path):
    write_run(tmp_path, normalization="finetune", final=0.8)
    write_run(tmp_path, normalization="pretrain", final=0.7)
    found = results.read(tmp_path)
    comparison = comparisons.compare(found, "finetune")
    assert sections.sentence(comparison, found.cells[0]).splitlines() == [
        "finetune - pretrain: +10.00 points.",
        "A single pair of runs can't separate a difference from chance.",
    ]
