import pytest
from matplotlib import pyplot as plt

from normtest_tf.analysis import comparisons


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
