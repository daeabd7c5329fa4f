import pytest
from matplotlib import pyplot as plt

from normtest_tf.analysis import Cell, comparisons, results
from tests.helpers.fake_results import write_study

CELLS = [
    Cell("cifar10", "resnet18"),
    Cell("cifar100", "resnet18"),
    Cell("cifar100", "resnet50"),
]


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Results in which finetune is better by a point."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, CELLS, effect=0.01, spread=0.001)
    return results.read(folder)


@pytest.fixture(scope="session")
def comparison(study):
    """Finetune against pretrain in these."""
    return comparisons.compare(study, "finetune")


@pytest.fixture
def ax():
    """Empty axes."""
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)
