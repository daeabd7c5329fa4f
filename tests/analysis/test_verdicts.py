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


def judge_family(cells, **options):
    names = {"treatment": "finetune", "control": "pretrain"}
    least_sds = dict.fromkeys(cells, LEAST)
    return verdicts.judge_family(cells, least_sds=least_sds, **(names | options))


def judge(*cells, **options):
    judgements = judge_family(dict(enumerate(cells)), **options)
    return [judgements[i].verdict for i in range(len(cells))]


NEEDED = effects.pairs_needed(SD, MARGIN)


# t(0.975, 19) / sqrt(20) = 0.46801.
@pytest.mark.parametrize(
    ("values", "text"),
    [
        (normal_scores(0.8, 0.44, 20), "finetune better by 0.80 ± 0.21 points"),
        (
            normal_scores(-0.12, 0.1, 20),
            "pretrain better by 0.12 ± 0.05 points, which is less than 0.5",
        ),
        ([-0.1] * 3, "pretrain better by 0.10 ± 0.02 points, which is less than 0.5"),
        (
            normal_scores(-0.001, 0.44, 20),
            "no difference larger than 0.5 points (difference +0.00 ± 0.21)",
        ),
        ([0] * 3, "no difference larger than 0.5 points (difference +0.00 ± 0.02)"),
        ([1.36] * 2, "undecided: two equal differences tell nothing of their spread"),
        (
            normal_scores(0.3, 0.44, 5),
            f"undecided: +0.30 ± 0.55 points; {NEEDED - 5} more seeds would detect "
            "0.5 points with 80% power",
        ),
        (
            normal_scores(0.3, 0.44, NEEDED - 1),
            "undecided: +0.30 ± 0.37 points; 1 more seed would detect 0.5 points with "
            "80% power",
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


@pytest.mark.parametrize(("mean", "kind"), [(0.45, "finetune better"), (0, None)])
def test_a_large_family_leaves_a_conclusive_cell_undecided(mean, kind):
    cell = normal_scores(mean, SD, 8)
    noise = normal_scores(0.25, 1, 5)
    [alone] = judge(cell)
    assert alone.kind == (kind or verdicts.NO_DIFFERENCE)
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
    judged = judge_family(cells, margin=0.7, level=0.1)
    assert judged["a"].effect == effects.estimate_mean(cells["a"], 0.9)
    sd = np.std(cells["a"], ddof=1)
    assert judged["a"].pairs_needed == effects.pairs_needed(sd, 0.7, level=0.1 / 3)
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
    studies = [judge(*study, margin=MARGIN) for study in data]
    kinds = [[verdict.kind for verdict in study] for study in studies]
    texts = [[verdict.text for verdict in study] for study in studies]
    return np.array(kinds), np.array(texts)


@pytest.fixture
def verdicts_only(monkeypatch):
    """Skips what is slow and only words what an undecided cell lacks."""
    monkeypatch.setattr(effects, "pairs_needed", lambda *_, **__: 2)


def three_errors(share, trials):
    """Returns three standard errors of a share of so many independent trials."""
    return 3 * math.sqrt(share * (1 - share) / trials)


@pytest.mark.usefixtures("verdicts_only")
@pytest.mark.parametrize("pairs", [5, 20])
@pytest.mark.parametrize("planted", [0, 0.3, 1])
def test_planted_effects_are_found_with_the_power_of_the_t_test(planted, pairs):
    """Cells alone need no correction; power is from the noncentral t distribution."""
    kinds, _ = simulate([planted], pairs, seed=pairs)
    critical = stats.t.isf(0.05 / 2, pairs - 1)
    for setting, mean in (("finetune", planted), ("pretrain", -planted)):
        shift = mean * math.sqrt(pairs) / SD
        power = np.clip(np.nan_to_num(stats.nct.sf(critical, pairs - 1, shift)), 0, 1)
        found = np.mean(kinds == verdicts.better(setting))
        assert found == pytest.approx(power, abs=three_errors(power, STUDIES))


@pytest.mark.usefixtures("verdicts_only")
def test_planted_zeros_are_found_to_be_small():
    # One-sided tests at 0.05 / 4, 0.5 points or 5.1 standard errors away.
    kinds, _ = simulate([0] * 4, 20, seed=3)
    assert np.mean(kinds == verdicts.NO_DIFFERENCE) > 0.9


@pytest.mark.usefixtures("verdicts_only")
@pytest.mark.parametrize("pairs", [5, 20])
@pytest.mark.parametrize("planted", [[0] * 4, [1, 0, 0, 0]])
def test_a_false_better_in_any_cell_is_as_rare_as_the_level(planted, pairs):
    kinds, _ = simulate(planted, pairs, seed=100 + pairs)
    null = kinds[:, np.equal(planted, 0)]
    false = np.char.endswith(null, "better").any(axis=1)
    assert false.mean() <= 0.05 + three_errors(0.05, STUDIES)


@pytest.mark.usefixtures("verdicts_only")
@pytest.mark.parametrize("pairs", [5, 20])
def test_a_margin_called_small_in_any_cell_is_as_rare_as_the_level(pairs):
    planted = [MARGIN, -MARGIN, MARGIN, 0]
    kinds, texts = simulate(planted, pairs, seed=200 + pairs)
    small = kinds == verdicts.NO_DIFFERENCE
    small |= np.char.endswith(texts, "which is less than 0.5")
    false = small[:, :3].any(axis=1)
    assert false.mean() <= 0.05 + three_errors(0.05, STUDIES)
