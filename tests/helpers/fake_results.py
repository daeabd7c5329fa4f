"""Results folders as runs leave them, with accuracies that a test chooses."""

import json

import numpy as np

EPOCHS = 3
ENVIRONMENT = {
    "normtest_tf": "0.1.0",
    "python": "3.12.0",
    "keras": "3.15.1",
    "tensorflow": "2.21.0",
    "backend": "tensorflow",
    "cpu": "a processor",
    "cpu_cores": 2,
    "gpus": [],
}
STATISTICS = {
    "finetune": {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.1]},
    "pretrain": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "minmax": {"mean": [0.0] * 3, "std": [1.0] * 3},
    "instance": None,
}


def write_run(
    results_dir,
    dataset="cifar10",
    model="resnet18",
    normalization="finetune",
    seed=1,
    final=0.8,
    best=None,
    selected=None,
    **requested,
):
    """Writes one finished run; returns its folder."""
    folder = results_dir / dataset / f"{model}-{normalization}" / f"seed-{seed}"
    folder.mkdir(parents=True)
    best = final + 0.01 if best is None else best
    config = {
        "format": 1,
        "requested": {
            "dataset": dataset,
            "model": model,
            "normalization": normalization,
            "seed": seed,
            "epochs": EPOCHS,
            "batch_size": 256,
            "learning_rate": 0.001,
            "train_examples": None,
            **requested,
        },
        "resolved": {
            "weights": "tv_in1k",
            "weights_sha256": None,
            "statistics": STATISTICS.get(normalization),
            "precision": "float32",
            "train_examples": 50_000,
            "validation_examples": 0,
            "test_examples": 10_000,
            "image_shape": [32, 32, 3],
            "class_names": [str(number) for number in range(10)],
        },
        "data_fingerprint": "abc",
        "environment": ENVIRONMENT,
    }
    result = {
        "format": 1,
        "best_epoch": 2,
        "best_test_accuracy": best,
        "final_epoch": EPOCHS,
        "final_test_accuracy": final,
        "total_seconds": 60.0,
    }
    if selected is not None:
        result |= {"selected_epoch": 2, "selected_test_accuracy": selected}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text(json.dumps(result))
    lines = ["epoch,test_accuracy", f"1,{final / 2}", f"2,{best}", f"3,{final}"]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_study(results_dir, cells, seeds=5, effect=0.0, spread=0.003):
    """Writes runs of all settings; `finetune` is better by `effect`, 0 to 1."""
    rng = np.random.default_rng(0)
    shifts = {"finetune": effect, "pretrain": 0, "instance": -0.01, "minmax": 0}
    for number, (dataset, model) in enumerate(cells):
        for seed in range(seeds):
            for setting, shift in shifts.items():
                final = 0.8 + 0.01 * number + shift + spread * rng.normal()
                final = round(final, 4)
                write_run(results_dir, dataset, model, setting, seed, final)
