from plots import answer


def test_readmes_figure_is_drawn_from_the_study(tmp_path, monkeypatch):
    drawn, draw = {}, answer.draw
    monkeypatch.setattr(answer, "FIGURE", tmp_path / "answer.png")

    def spy(ax, found, trained):
        draw(ax, found, trained)
        drawn[trained] = ax

    monkeypatch.setattr(answer, "draw", spy)
    answer.main()
    assert answer.FIGURE.stat().st_size > 10_000
    means = {
        container.get_label(): [round(x, 1) for x in container.lines[0].get_xdata()]
        for container in drawn["+head"].containers
    }
    # In docs/measurements.md: satellite, blood cells, X-rays, handwriting.
    assert means["MobileNetV2 0.35"] == [-0.1, -7.5, 0.1, -2.9]
    assert means["DenseNet169"] == [2.1, 6.7, -0.6, 3.2]
