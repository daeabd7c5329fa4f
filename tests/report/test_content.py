import pytest

from normtest_tf import published
from normtest_tf.report import content
from normtest_tf.runs.history import FINAL


def test_published_differences_belong_to_the_published_comparison(gathered):
    finetune, *others = gathered.comparisons
    found = gathered.published_beside(finetune)
    assert found["cifar10", "resnet18"] == pytest.approx(0.5)
    assert set(found) == set(finetune.judgements)  # The edition has more cells.
    assert [gathered.published_beside(other) for other in others] == [{}, {}]


def test_of_several_published_tables_the_first_counts(study):
    tables = [published.load("extended_table3"), published.load("seed_table1")]
    gathered = content.gather(study, rule=FINAL, margin=0.5, published=tables)
    found = gathered.published_beside(gathered.comparisons[0])
    assert found["cifar10", "resnet18"] == pytest.approx(-0.1)
