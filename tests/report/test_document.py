from normtest_tf.analysis import results
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
