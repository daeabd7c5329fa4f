import pytest

from normtest_tf import published
from normtest_tf.analysis import Cell, results
from normtest_tf.report import content
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_study

CELLS = [
    Cell("cifar10", "resnet18"),
    Cell("cifar100", "resnet18"),
    Cell("cifar100", "resnet50"),
]


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Results of a study in which finetune is better by a point."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, CELLS, effect=0.01, spread=0.001)
    return results.read(folder)


@pytest.fixture(scope="session")
def gathered(study):
    """What a report of that study states."""
    tables = [published.load("seed_table1")]
    return content.gather(study, rule=FINAL, margin=0.5, published=tables)
