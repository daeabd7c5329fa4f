import pytest

from normtest_tf.analysis import published
from normtest_tf.report import document
from normtest_tf.runs.folder import FINAL


@pytest.fixture(scope="session")
def gathered(study):
    """What a report of that study states."""
    tables = [published.load("seed_table1")]
    return document.gather(study, rule=FINAL, margin=0.5, published=tables)
