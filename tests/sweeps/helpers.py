import dataclasses
import os

from normtest_tf import errors, runs
from normtest_tf.sweeps import executor, grid
from tests.helpers.records import CONFIG, RESULT

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
        results_dir=str(results_dir), epochs=1, train_examples=64, test_examples=64
    )
    return grid.grid(base, grid.Axes(**(defaults | axes)), WEIGHTS)


def tiny_runs(folder, epochs, results="whole"):
    """Returns runs of a tiny network in two settings; they train fast."""
    import keras

    path = folder / "net.keras"
    if not path.exists():
        inputs = keras.Input((32, 32, 3))
        outputs = keras.layers.Conv2D(4, 3, strides=2)(inputs)
        outputs = keras.layers.BatchNormalization(momentum=0.9)(outputs)
        outputs = keras.layers.GlobalAveragePooling2D()(outputs)
        keras.utils.set_random_seed(0)
        keras.Model(inputs, outputs).save(path)
    return [
        runs.RunConfig(
            dataset="digits",
            model=str(path),
            normalization=name,
            train_examples=200,
            test_examples=100,
            batch_size=50,
            checkpoint_every=1,
            epochs=epochs,
            pretrain_mean=(0.5,) * 3,
            pretrain_std=(0.5,) * 3,
            results_dir=str(folder / results),
        )
        for name in ("pretrain", "finetune")
    ]


@dataclasses.dataclass
class FakeExecutor(executor.Executor):
    """Ends runs in the order in which they start, with outcomes of a script.

    The script has the outcomes of runs by their settings, one for each start. A
    function is called, and returns the outcome.
    """

    script: dict = dataclasses.field(default_factory=dict)
    number: int = 1
    started: list = dataclasses.field(default_factory=list)
    most: int = 0
    running: list = dataclasses.field(default_factory=list)

    def __exit__(self, *_):
        assert not self.running

    def check_inputs(self, configs, notify):
        pass

    def slots(self):
        return self.number

    def start(self, config, notify):
        self.started.append(config)
        self.running.append(config)
        self.most = max(self.most, len(self.running))

    def wait(self, seconds):
        config = self.running.pop(0)
        outcomes = self.script.get(config.normalization, [])
        outcome = outcomes.pop(0) if outcomes else RESULT
        return [(config, outcome(config) if callable(outcome) else outcome)]


def write_record(config):
    """Writes what a run writes once it has started."""
    requested = config.resolved.requested
    dataclasses.replace(CONFIG, requested=requested).write(config.folder)


def fail(error):
    raise error


def execute_and_report(config, notify, said):
    """Executes a run, and says what its process sees."""
    notify(f"{os.getpid()} sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    return executor.execute(config, notify, said)


def return_said(config, notify, said):
    """Executes nothing."""
    return said


def fail_here(config, notify, said):
    """Fails, with seed 2 because another process has the folder; says where."""
    raise (errors.Locked if config.seed == 2 else errors.UsageError)(str(os.getpid()))


def wear_out():
    """Says that a worker has traced many graphs, and a note."""
    return 99, {"a note"}


def yes(*_):
    return True
