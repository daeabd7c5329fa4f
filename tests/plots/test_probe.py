import numpy as np

from normtest_tf.normalization.statistics import FAR
from plots import probe


def test_probes_are_beside_what_training_gave(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "FIGURE", tmp_path / "probe.png")
    probe.main()
    assert probe.FIGURE.stat().st_size > 10_000
    real, later = map(probe.read, probe.STUDIES)
    assert (len(real), len(later)) == (16, 8)
    # In docs/diagnosis.md.
    heads = np.array([head[1:] for head in real + later]).T
    probes, _, measured, _, distances = heads
    assert round(np.corrcoef(probes, measured)[0, 1], 2) == 0.87
    assert round(np.corrcoef(distances, measured)[0, 1], 2) == -0.22
    assert round(np.corrcoef(distances, abs(measured))[0, 1], 2) == 0.57
    near, far = measured[distances < FAR], measured[distances > FAR]
    assert (len(near), len(far), sum(far > 0)) == (6, 18, 8)
    assert [round(each, 1) for each in (max(abs(near)), abs(far).mean())] == [0.8, 3.9]
    assert sum(np.sign(probes) == np.sign(measured)) == 19
    assert round(np.polyfit(probes, measured, 1)[0], 2) == 0.65
