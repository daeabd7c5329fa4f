from plots import quickstart


def test_the_figure_is_a_png(study, comparison, tmp_path):
    path = tmp_path / "figure.png"
    quickstart.write_figure(study, comparison, study.cells[0], path)
    assert path.read_bytes().startswith(b"\x89PNG")
