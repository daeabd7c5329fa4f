import pytest

from normtest_tf.analysis import published
from normtest_tf.report import document
from normtest_tf.runs.history import FINAL


def test_published_differences_belong_to_the_published_comparison(gathered):
    finetune, *others = gathered.comparisons
    found = gathered.published_for(finetune)
    assert found["cifar10", "resnet18"] == pytest.approx(0.5)
    assert set(found) == set(finetune.judgements)  # The edition has more cells.
    assert [gathered.published_for(other) for other in others] == [{}, {}]


def test_the_first_of_several_published_tables_wins(study):
    tables = [published.load("extended_table3"), published.load("seed_table1")]
    gathered = document.gather(study, rule=FINAL, margin=0.5, published=tables)
    found = gathered.published_for(gathered.comparisons[0])
    assert found["cifar10", "resnet18"] == pytest.approx(-0.1)
