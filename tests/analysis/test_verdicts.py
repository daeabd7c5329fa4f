import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import effects, verdicts

SD = 0.44
LEAST = 0.01
MARGIN = 0.5
STUDIES = 200


def normal_scores(mean, sd, pairs):
    """Returns differences of exactly this mean and standard deviation."""
    scores = stats.norm.ppf((np.arange(pairs) + 0.5) / pairs)
    return mean + sd * scores / scores.std(ddof=1)


def judge_family(cells):
    names = {"treatment": "finetune", "control": "pretrain", "margin": MARGIN}
    least_sds = dict.fromkeys(cells, LEAST)
    return verdicts.judge_family(cells, least_sds=least_sds, **names)


def judge(*cells):
    judgements = judge_family(dict(enumerate(cells)))
    return [judgements[i].verdict for i in range(len(cells))]


NEEDED = effects.pairs_needed(SD, MARGIN)


# t(0.975, 19) / sqrt(20) = 0.46801.
@pytest.mark.parametrize(
    ("values", "text"),
    [
        (normal_scores(0.8, 0.44, 20), "finetune better by 0.80 ± 0.21 points"),
        (
            normal_scores(-0.12, 0.1, 20),
            "pretrain better by 0.12 ± 0.05 points, which is less than 0.5 "
            "(equivalence test, 90% interval -0.16 to -0.08)",
        ),
        (
            normal_scores(-0.001, 0.44, 20),
            "no difference larger than 0.5 points (equivalence test, 90% interval "
            "-0.17 to +0.17)",
        ),
        (  # Its 95% interval, -0.59 to +0.29, is not within the margin.
            normal_scores(-0.15, 0.354, 5),
            "no difference larger than 0.5 points (equivalence test, 90% interval "
            "-0.49 to +0.19)",
        ),
        ([1.36] * 2, "undecided: two equal differences tell nothing of their spread"),
        (
            normal_scores(0.3, 0.44, 5),
            f"undecided: +0.30 ± 0.55 points; {NEEDED - 5} more seeds would detect "
            "0.5 points with 80% power",
        ),
        (
            normal_scores(-0.28, 0.6, 15),
            "undecided: -0.28 ± 0.33 points; 15 seeds detect 0.5 points with 80% "
            "power; the difference is compatible with both 0 and -0.5",
        ),
    ],
)
def test_verdicts_are_worded(values, text):
    (found,) = judge(values)
    assert found.text == text
    assert text.startswith(found.kind)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (normal_scores(0.45, SD, 8), "finetune better"),
        (normal_scores(0, SD, 8), verdicts.NO_DIFFERENCE),
        # Its 90% interval is within the margin, its 95% interval is not.
        (normal_scores(0.1, 0.37, 5), verdicts.NO_DIFFERENCE),
    ],
)
def test_a_large_family_leaves_a_conclusive_cell_undecided(cell, kind):
    noise = normal_scores(0.25, 1, 5)
    [alone] = judge(cell)
    assert alone.kind == kind
    among = judge(cell, *[noise] * 7)
    assert among[0].kind == verdicts.UNDECIDED
    assert among[0].text.startswith("undecided among 8 cells: ")
    assert among[1].text.startswith("undecided: ")


def test_single_runs_are_not_tested_and_do_not_count_in_the_family():
    cell = normal_scores(0.45, SD, 8)
    ties = [0.3, 0.1 + 0.2]
    judgements = judge_family({"one": [3.0], ("a", "b"): cell, "ties": ties})
    assert judgements["ties"].pairs_needed is None
    one = judgements["one"]
    assert one.verdict.kind == verdicts.SINGLE_RUN
    assert one.pairs_needed is None
    assert math.isnan(one.t_p_holm)
    assert judgements["a", "b"] == judge_family({0: cell})[0]


def test_a_judgement_holds_the_numbers():
    cells = {"a": [0.2, 0.4, 0.9, 0.1], "b": [0.1, -0.1, 0.2], "c": [0.3] * 3}
    judged = judge_family(cells)
    assert judged["a"].effect == effects.estimate_mean(cells["a"])
    sd = np.std(cells["a"], ddof=1)
    assert judged["a"].pairs_needed == effects.pairs_needed(sd, MARGIN, 0.05 / 3)
    t = [stats.ttest_1samp(cells[key], 0).pvalue for key in "ab"]
    t.append(2 * stats.t.sf(0.3 / LEAST * math.sqrt(3), 2))
    assert [judged[key].t_p for key in "abc"] == pytest.approx(t)
    adjusted = [2 * t[0], max(2 * t[0], t[1]), 3 * t[2]]
    assert [judged[key].t_p_holm for key in "abc"] == pytest.approx(adjusted)


def simulate(planted, pairs, seed):
    """Returns kinds and texts of simulated verdicts, twice str `[studies, cells]`.

    `planted` are the cells' true mean differences.
    """
    rng = np.random.default_rng(seed)
    data = rng.normal(planted, SD, (STUDIES, pairs, len(planted))).swapaxes(1, 2)
    studies = [judge(*study) for study in data]
    kinds = [[verdict.kind for verdict in study] for study in studies]
    texts = [[verdict.text for verdict in study] for study in studies]
    return np.array(kinds), np.array(texts)


@pytest.fixture
def verdicts_only(monkeypatch):
    """Skips what is slow and only words what an undecided cell lacks."""
    monkeypatch.setattr(effects, "pairs_needed", lambda *_, **__: 2)


@pytest.mark.usefixtures("verdicts_only")
@pytest.mark.parametrize("pairs", [5, 20])
@pytest.mark.parametrize(
    "planted", [[0] * 4, [1, 0, 0, 0], [MARGIN, -MARGIN, MARGIN, 0]]
)
def test_a_false_verdict_in_any_cell_is_as_rare_as_the_level(planted, pairs):
    kinds, texts = simulate(planted, pairs, seed=100 + pairs)
    better = np.char.endswith(kinds, "better") & np.equal(planted, 0)
    small = kinds == verdicts.NO_DIFFERENCE
    small |= np.char.endswith(texts, "which is less than 0.5")
    small &= np.abs(planted) >= MARGIN
    three_errors = 3 * math.sqrt(0.05 * 0.95 / STUDIES)
    for false in (better, small):
        assert false.any(axis=1).mean() <= 0.05 + three_errors
