"""Complete records of a run, with distinct values."""

import dataclasses

from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs import ConfigRecord, ResultRecord
from normtest_tf.runs.record import ResolvedValues

STATISTICS = ChannelStatistics((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "pooled", "a test")
PRETRAINING = {
    "origin": "package:a",
    "statistics": {
        "mean": [0.5] * 3,
        "std": [0.4] * 3,
        "definition": "fixed",
        "source": "a test",
    },
    "channel_order": "rgb",
}
RESOLVED = ResolvedValues(
    weights="cifar10",
    weights_sha256=None,
    pretraining=PRETRAINING,
    statistics=STATISTICS,
    precision="float32",
    augmentation="pad_crop_flip",
    padding=4,
    data_seed=1,
    model_seed=2,
    train_examples=50,
    test_examples=10,
    validation_examples=0,
    image_shape=(32, 32, 3),
    class_names=("a", "b"),
    parameters=123,
)
REQUESTED = {
    "dataset": "digits",
    "model": "cifar_resnet8",
    "normalization": "finetune",
    "seed": 1,
    "epochs": 3,
    "batch_size": 64,
    "learning_rate": 0.001,
    "deterministic": False,
    "shift": "none",
    "examples_per_class": None,
    "subset": "first",
    "warmup_epochs": 0,
    "optimizer": "adam",
    "train": "all",
    "recalibrate": False,
    "strategy": "none",
}
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
CONFIG = ConfigRecord(
    requested=REQUESTED,
    resolved=RESOLVED,
    data_fingerprint="abc",
    environment=ENVIRONMENT,
)
RESULT = ResultRecord(
    best_epoch=2,
    best_test_accuracy=0.8,
    final_epoch=3,
    final_test_accuracy=0.7,
    final_train_accuracy=1.0,
    kept_epoch=3,
    train_seconds=1.5,
    total_seconds=2,
    peak_memory_mib=None,
    resumed_epochs=(1, 2),
)
# What `config.json` holds, as version 0.2.0 wrote it.
CONFIG_JSON = {
    "format": 1,
    "requested": REQUESTED,
    "resolved": {
        "weights": "cifar10",
        "weights_sha256": None,
        "pretraining": PRETRAINING,
        "statistics": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "definition": "pooled",
            "source": "a test",
        },
        "precision": "float32",
        "augmentation": "pad_crop_flip",
        "padding": 4,
        "data_seed": 1,
        "model_seed": 2,
        "train_examples": 50,
        "test_examples": 10,
        "validation_examples": 0,
        "image_shape": [32, 32, 3],
        "class_names": ["a", "b"],
        "parameters": 123,
    },
    "data_fingerprint": "abc",
    "environment": ENVIRONMENT,
}
VALIDATED = dataclasses.replace(
    RESULT,
    best_validation_epoch=1,
    best_validation_accuracy=0.9,
    best_validation_test_accuracy=0.6,
)
