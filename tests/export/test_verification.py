"""An export is kept only if it computes what the run's model computes."""

import numpy as np
import pytest

from normtest_tf.export import ExportError, verification, writers
from tests.export.helpers import IMAGES, description, small_model


def test_an_export_that_does_not_run_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_text("an earlier export")

    monkeypatch.setitem(writers.WRITERS, "keras", lambda model, path, _: path.touch())
    # One that differs is in test_timm_folders.py.
    with pytest.raises(ExportError, match=r"can't be run .*model.*\.keras"):
        verification.export(small_model(), path, "keras", description(), IMAGES)
    assert path.read_text() == "an earlier export"
    assert list(tmp_path.iterdir()) == [path]


def test_a_deviation_counts_and_measures():
    target = np.array([[1.0, 2.0], [4.0, 3.0], [0.0, 1.0]])
    received = np.array([[1.0, 2.0], [3.0, 3.5], [0.0, 1.0]], "float32")
    deviation = verification.compare(received, target)
    assert deviation == verification.Deviation(
        images=3, difference=1.0, largest=4.0, disagreements=1
    )
    assert deviation.relative == 0.25
    assert not deviation.is_tolerable
    assert "on 3 images; 1 of them with a different top output" in str(deviation)
    assert not verification.compare(received * np.nan, target).is_tolerable
    for wrong in (target, received[:, :1]):
        with pytest.raises(ExportError, match="must be float32 of shape"):
            verification.compare(wrong, target)
