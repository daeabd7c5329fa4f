import json

import numpy as np

from normtest_tf.analysis import comparisons, results
from normtest_tf.report import rows, sections
from normtest_tf.runs.folder import FINAL
from tests.helpers.fake_results import write_run


def test_a_single_cell_has_its_own_interval_and_unlike_pairs_a_note(tmp_path):
    for seed, final in ((1, 0.8), (2, 0.82), (3, 0.84)):
        write_run(tmp_path, normalization="pretrain", seed=seed, final=0.7)
        path = write_run(tmp_path, seed=seed, final=final) / "config.json"
        if seed > 1:
            config = json.loads(path.read_text())
            more = {"keras": "3.10.0", "jax": "0.9", "gpus": ["Some GPU"]}
            config["environment"] |= more
            path.write_text(json.dumps(config))
    comparison = comparisons.compare(results.read(tmp_path), "finetune")
    # t(0.975, 2) / sqrt(3) = 2.48414.
    start = "**finetune - pretrain: +12.00 points**, +7.03 to +16.97 (95%, 3 pairs). "
    answer = sections.answer(comparison)
    assert answer.startswith(f"{start}Verdict: finetune better by 12.00")
    assert "the two runs of 2 of 3 pairs differ in keras, jax, gpus," in answer
    assert "; 2 of 3 pairs differ in keras, jax, gpus |" in sections.verdict_table(
        comparison
    )


def test_bold_is_a_lead_of_more_than_the_test_sets_error(tmp_path):
    for number, leads in enumerate(([2, 1], [20, 1], [20, 20], [20])):
        correct = [np.arange(32) < right for right in leads]
        for setting, right in zip(("finetune", "pretrain"), correct, strict=False):
            write_run(tmp_path, f"folder-{number}", "resnet18", setting, correct=right)
    rows_of = rows.accuracy_rows(results.read(tmp_path), FINAL, [])
    table = [entry for *_, entry in sections.table1(rows_of, FINAL)[1:]]
    assert table[0] == "6.25 (n = 1, test set ±4.28)"
    bold = [entry[:2] == "**" for entry in table]
    assert bold == [False, False, True, False, False, False, False]
    assert [row["best"] for row in rows_of] == [1, 0, 1, 0, 1, 1, 1]


def test_recipes_are_of_cells(tmp_path):
    write_run(tmp_path)
    write_run(tmp_path, model="resnet18+head", train="head", learning_rate=0.01)
    write_run(tmp_path, "cifar100", epochs=1)
    assert list(sections.recipes(results.read(tmp_path)).values()) == [
        "3 epochs, 50,000 images, learning rate 0.001",
        "3 epochs, 50,000 images, learning rate 0.01",
        "1 epoch, 50,000 images, learning rate 0.001",
    ]


def test_what_is_unknown_has_its_words(gathered):
    # The other tables' layout is that of the committed report; see tests/plots.
    assert "not run" in sections.table1(gathered.accuracies, FINAL)[1]
    assert "| none |" in sections.rules_table(gathered.accuracies)
    with_some = [row | {"validation_examples": 500} for row in gathered.data_sets]
    assert "10,000 test, 500 validation" in sections.data_table(with_some)


def test_recipes_name_what_is_unlike_the_study(tmp_path):
    values = {"warmup_epochs": 1, "optimizer": "sgd", "examples_per_class": 20}
    write_run(tmp_path, **values, train="head", recalibrate=True, shift="invert")
    assert sections.how(results.read(tmp_path)).splitlines()[:2] == [
        "- 1 run, 60 s in total.",
        "- 3 epochs on 50,000 images, batches of 256, learning rate 0.001, float32, 1 "
        "epoch of warm-up, --optimizer=sgd, --train=head, --recalibrate, "
        "--shift=invert, 20 of each class: "
        "resnet18+head+sgd+recalibrated with the weights `tv_in1k`.",
    ]


def test_the_pairs_of_a_cell_are_a_table_for_a_terminal(tmp_path):
    for seed, finetune, pretrain in ((1, 0.85, 0.8), (2, 0.91, 0.9)):
        write_run(tmp_path, normalization="finetune", seed=seed, final=finetune)
        write_run(tmp_path, normalization="pretrain", seed=seed, final=pretrain)
    found = results.read(tmp_path)
    (cell,), comparison = found.cells, comparisons.compare(found, "finetune")
    assert sections.pair_table(found, comparison, cell).splitlines() == [
        "seed  pretrain  finetune  finetune - pretrain",
        "1     80.00%    85.00%    +5.00 points",
        "2     90.00%    91.00%    +1.00 points",
    ]


def test_given_constants_are_stated(tmp_path):
    write_run(tmp_path, normalization="given", mean=[0.5, 0.25, 0.5], std=[0.2] * 3)
    found = results.read(tmp_path)
    said = sections.settings_list(rows.data_set_rows(found), found)
    assert "cifar10 with resnet18: mean 0.5, 0.25, 0.5; std 0.2, 0.2, 0.2." in said
