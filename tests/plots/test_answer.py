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
        (trained, bars.get_label()): [round(x, 1) for x in bars.lines[0].get_xdata()]
        for trained, ax in drawn.items()
        for bars in ax.containers
    }
    # In docs/measurements.md: satellite, blood cells, X-rays, handwriting.
    assert means["+head", "DenseNet169"] == [2.1, 7.2, -0.4, 2.9]
    assert means["", "MobileNet 0.25"] == [2.1, 1.5, 0.2, -1.0]
