from normtest_tf import runs
from normtest_tf.sweeps import grid

WEIGHTS = {"cifar_resnet8": None, "resnet18": "none"}


def configurations(results_dir, **axes):
    """Returns the runs of a small grid; its axes can be replaced."""
    defaults = {
        "datasets": ["digits"],
        "models": ["cifar_resnet8"],
        "normalizations": ["pretrain", "finetune"],
        "seeds": [1, 2],
    }
    base = runs.RunConfig(
        results_dir=str(results_dir),
        epochs=1,
        train_examples=64,
        test_examples=64,
    )
    return grid.grid(base, grid.Axes(**(defaults | axes)), WEIGHTS)
