import json
import math

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.analysis import comparisons, effects, results
from normtest_tf.report import rows, sections
from normtest_tf.runs.folder import BEST_TEST, BEST_VALIDATION, FINAL
from tests.helpers.fake_results import write_run

CELLS = [("cifar10", "resnet18"), ("cifar100", "resnet18")]


def test_each_way_of_training_is_a_family(tmp_path):
    models = ("resnet18", "resnet18+head", "resnet50", "resnet50+head")
    for number, model in enumerate(models):
        for seed in range(3):
            values = {"seed": seed, "train": "head" if "+" in model else "all"}
            final = 0.5 + 0.002 * number + seed / 1000
            write_run(tmp_path, "cifar10", model, "pretrain", final=0.5, **values)
            write_run(tmp_path, "cifar10", model, "finetune", final=final, **values)
    judged = comparisons.compare(results.read(tmp_path), "finetune").judgements
    assert [cell.model for cell in judged] == list(models)
    found = {cell.model: judgement for cell, judgement in judged.items()}
    for one, other in (models[::2], models[1::2]):
        expected = effects.holm([found[one].t_p, found[other].t_p])
        assert [found[one].t_p_holm, found[other].t_p_holm] == expected.tolist()


@pytest.mark.parametrize("number", [2, 3])
def test_fewer_than_three_cells_give_no_interval(tmp_path, number):
    for dataset in ("cifar10", "cifar100", "svhn_cropped")[:number]:
        write_run(tmp_path, dataset, normalization="pretrain", final=0.5)
        write_run(tmp_path, dataset, final=0.5 + len(dataset) / 1000)
    over = comparisons.compare(results.read(tmp_path), "finetune").over_cells
    assert over.mean == pytest.approx({2: 0.75, 3: 0.9}[number])
    assert over.has_interval == (number == 3)


def test_cells_and_settings_without_pairs_are_left_out(tmp_path):
    write_run(tmp_path, *CELLS[0], "finetune", seed=1)
    write_run(tmp_path, *CELLS[0], "pretrain", seed=1)
    write_run(tmp_path, *CELLS[0], "minmax", seed=2)
    write_run(tmp_path, *CELLS[1], "finetune", seed=1)
    found = results.read(tmp_path)
    assert comparisons.compare(found, "minmax") is None
    (only,) = comparisons.compare_all(found, rule=FINAL, margin=0.5)
    assert only.treatment == "finetune"
    assert list(only.judgements) == CELLS[:1]


@pytest.mark.parametrize(
    ("rule", "mean"), [(FINAL, 0), (BEST_TEST, 9.9), (BEST_VALIDATION, 5)]
)
def test_each_rule_compares_its_own_epochs(tmp_path, rule, mean):
    for seed in range(3):
        best = {"best": 0.8 + seed / 1000, "best_validation": 0.8}
        write_run(tmp_path, normalization="pretrain", seed=seed, **best)
        write_run(tmp_path, seed=seed, best=0.9, best_validation=0.85)
    found = comparisons.compare(results.read(tmp_path), "finetune", rule=rule)
    assert found.over_cells.mean == pytest.approx(mean)


def test_verdicts_and_effects_tell_whether_an_effect_is_beyond_the_noise(tmp_path):
    for seed, again in enumerate((0.51, 0.48, 0.52)):
        for name, final in (
            ("pretrain", 0.5),
            ("pretrain_again", again),  # 1, -2 and 2 points from the control.
            ("finetune", 0.51),
            ("minmax", 0.3 + seed / 100),
        ):
            write_run(tmp_path, *CELLS[0], name, seed=seed, final=final)
        for name in ("pretrain", "pretrain_again"):
            write_run(tmp_path, *CELLS[1], name, seed=seed, final=0.5)
    noisy = results.read(tmp_path)
    # The second cell's never differs: the factor was rounded away.
    ((cell, floor),) = comparisons.noise_floors(noisy, FINAL).items()
    assert (cell, floor.n) == (CELLS[0], 3)
    assert floor.rms == pytest.approx(math.sqrt((1 + 4 + 4) / 3))
    compared = comparisons.compare_all(noisy, rule=FINAL, margin=0.5)
    texts = {c.treatment: sections.verdict_table(c) for c in compared}
    # t(0.975, 3) = 3.18245 times the rms, over the root of 3, times that of 3 / 4.
    assert "no wider than what chaos alone does, ±2.76 (n = 3)" in texts["finetune"]
    assert "beyond what chaos alone does" in texts["minmax"]
    assert "chaos" not in texts["pretrain_again"]
    # Less half of what the second control's runs differ by.
    differences = compared[0].seed_differences[CELLS[0]]
    assert differences == pytest.approx({0: 1 - 0.5, 1: 1 + 1, 2: 1 - 1})
    found = {r["treatment"]: r for r in rows.effect_rows(compared) if "noise_n" in r}
    assert [r["controls"] for r in found.values()] == [2, 2, 1]
    assert found["finetune"]["noise_n"] == 3
    assert found["finetune"]["noise_rms"] == floor.rms
    assert found["pretrain_again"]["noise_n"] is None


def test_equal_settings_stay_within_it_as_often_as_it_says():
    runs = np.random.default_rng(0).normal(size=(3, 20_000, 5))
    treatment, control, again = runs
    rms = np.sqrt(np.mean((again - control) ** 2, axis=1))
    widths = rms * comparisons.NoiseFloor(5, 1.0).half_width(5, controls=2)
    within = np.abs((treatment - (control + again) / 2).mean(axis=1)) <= widths
    assert within.mean() == pytest.approx(0.95, abs=0.006)


def test_a_second_control_needs_the_same_seeds(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path, *CELLS[0], "pretrain", seed=seed, final=0.5)
        write_run(tmp_path, *CELLS[0], "finetune", seed=seed, final=0.6)
    write_run(tmp_path, *CELLS[0], "pretrain_again", seed=1, final=0.52)
    found = comparisons.compare(results.read(tmp_path), "finetune")
    assert found.controls == {CELLS[0]: 1}
    assert found.seed_differences[CELLS[0]] == {1: 10, 2: 10}


def test_every_setting_is_compared_with_the_control_and_folded_ones_again(tmp_path):
    for name in ("minmax", "pretrain", "finetune", "finetune_folded"):
        write_run(tmp_path, *CELLS[0], name, seed=1)
    found = comparisons.compare_all(results.read(tmp_path), rule=FINAL, margin=0.5)
    assert [str(comparison) for comparison in found] == [
        "finetune - pretrain",
        "minmax - pretrain",
        "finetune_folded - pretrain",
        "finetune - finetune_folded",
    ]


def write_correct(folder, normalization, seed, correct, **requested):
    return write_run(
        folder, *CELLS[0], normalization, seed, correct=correct, **requested
    )


def draw(run_folder, seed):
    """Gives a run training images that its seed has drawn."""
    path = run_folder / "config.json"
    config = json.loads(path.read_text())
    config["data_fingerprint"] = f"drawn by {seed}"
    path.write_text(json.dumps(config))


def test_runs_with_predictions_are_compared_image_by_image(tmp_path):
    arms = ("finetune", "pretrain", "pretrain_again")
    right = np.random.default_rng(0).uniform(size=[3, 2, 50]) < 0.7
    for name, of_arm in zip(arms[:2], right[:2], strict=True):
        write_correct(tmp_path / "pair", name, 0, of_arm[0])
    results.pack(tmp_path / "pair", tmp_path / "pair.zip")
    pair = results.read(tmp_path / "pair.zip")  # Predictions are read in place.
    (found,) = comparisons.compare(pair, "finetune").by_image.values()
    assert found.mcnemar_p == effects.mcnemar_p_value(right[0, 0], right[1, 0])
    alone = 100.0 * right[0, 0] - 100 * right[1, 0]
    assert found.effect.half_width == pytest.approx(
        effects.estimate_mean(alone).half_width
    )
    for name, of_arm in zip(arms, right, strict=True):
        for seed in (0, 1):
            folder = tmp_path / "four"
            drawn = {"subset": "seeded", "train_examples": 9}
            draw(write_correct(folder, name, seed, of_arm[seed], **drawn), seed)
    four = results.read(tmp_path / "four")
    comparison = comparisons.compare(four, "finetune")
    (found,) = comparison.by_image.values()
    values = 100 * (right[0] - right[1:].mean(axis=0)).T
    assert found.effect == effects.estimate_crossed(values)
    assert found.effect.mean == pytest.approx(comparison.over_cells.mean)
    assert math.isnan(found.mcnemar_p)
    low, high = (f"{end:+.2f}" for end in (found.effect.low, found.effect.high))
    assert f"| {low} to {high} |" in sections.verdict_table(comparison)
    row = rows.effect_rows([comparison])[0]
    assert (row["images_low"], row["mcnemar_p"]) == (found.effect.low, found.mcnemar_p)
    # At the best epoch, predictions are unknown.
    assert comparisons.compare(four, "finetune", rule=BEST_TEST).by_image == {}
    for path in folder.rglob("config.json"):  # Seeds may draw test images as well.
        config = json.loads(path.read_text())
        config["requested"]["test_examples"] = 50
        path.write_text(json.dumps(config))
    assert comparisons.compare(results.read(folder), "finetune").by_image == {}
    draw(path.parent, "another seed")
    with pytest.raises(errors.UsageError, match=r"fingerprint: drawn by .* and drawn"):
        results.read(folder)


def test_predictions_of_another_run_are_refused(tmp_path):
    write_correct(tmp_path, "pretrain", 1, np.array([True, False]))
    folder = write_correct(tmp_path, "finetune", 1, np.array([True, False]))
    other = write_correct(tmp_path / "other", "finetune", 1, np.array([True, True]))
    (other / "predictions.npz").rename(folder / "predictions.npz")
    with pytest.raises(errors.UsageError, match="not of one run"):
        comparisons.compare(results.read(tmp_path), "finetune")
