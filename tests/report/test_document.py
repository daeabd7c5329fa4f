import pytest

from normtest_tf.analysis import published, results
from normtest_tf.report import document
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_run


def test_the_report_answers_first(gathered):
    text = document.to_markdown(gathered, "python -m experiments.report")
    title, answer = text.split("\n\n")[:2]
    assert title.startswith("# ")
    assert answer == document.answer(gathered)
    assert "```bash\npython -m experiments.report\n```" in text


def test_every_comparison_has_its_section(gathered):
    text = document.to_markdown(gathered, "")
    for setting in ("finetune", "instance", "minmax"):
        assert f"### {setting} - pretrain" in text
    assert f"![Paired differences]({document.EFFECTS_FIGURE}.png)" in text
    assert f"![Test accuracy by epoch]({document.ACCURACY_FIGURE}.png)" in text


def test_results_without_a_pair_are_still_reported(tmp_path):
    write_run(tmp_path, normalization="finetune")
    gathered = document.gather(results.read(tmp_path), rule=FINAL, margin=0.5)
    text = document.to_markdown(gathered, "")
    assert "There is nothing to compare" in text
    assert "Differences between settings" not in text
    assert "published single runs" not in text
    assert "Missing" not in text


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
