import pytest

from normtest_tf.analysis import published
from normtest_tf.report import document
from normtest_tf.runs.folder import FINAL


def test_published_differences_belong_to_the_published_comparison(study, gathered):
    finetune, *others = gathered.comparisons
    found = gathered.published_for(finetune)
    assert found["cifar10", "resnet18"] == pytest.approx(0.5)
    assert set(found) == set(finetune.judgements)  # The edition has more cells.
    assert [gathered.published_for(other) for other in others] == [{}, {}]
    # The first of several tables wins.
    tables = [published.load(name) for name in ("extended_table3", "seed_table1")]
    both = document.gather(study, rule=FINAL, margin=0.5, published=tables)
    found = both.published_for(both.comparisons[0])
    assert found["cifar10", "resnet18"] == pytest.approx(-0.1)


def test_a_page_shows_svg_figures_and_scrolling_tables(tmp_path):
    text = "# Which?\n\n![Curves](figure1.png)\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    (tmp_path / "figure1.svg").write_text("<svg/>")
    page = document.to_html(text, tmp_path)
    assert "<title>Which?</title>" in page
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page
    assert '<div class="scroll"><table>' in page
    assert "figure1" not in page
