import numpy as np

from plots import probe


def test_probes_are_beside_what_training_gave(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "FIGURE", tmp_path / "probe.png")
    probe.main()
    assert probe.FIGURE.stat().st_size > 10_000
    real, later = map(probe.read, probe.STUDIES)
    assert (len(real), len(later)) == (16, 8)
    # In docs/diagnosis.md.
    probes, measured = np.array([head[1::2] for head in real + later]).T
    assert round(np.corrcoef(probes, measured)[0, 1], 2) == 0.87
    assert sum(np.sign(probes) == np.sign(measured)) == 19
    assert round(np.polyfit(probes, measured, 1)[0], 2) == 0.65
