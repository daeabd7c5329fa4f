"""Kills runs and sweeps, damages files, fills disks, and counts what survives.

    python -m experiments.faults --kills=30 --sweep_kills=10

Runs of cifar_resnet8 on digits, and sweeps of them, are killed (SIGKILL) at random
moments and started again, until as many kills as asked for have hit. What ends in
the end must equal, bit by bit, what nobody killed: histories, weights, the chosen
epochs. Checkpoints and weights files get random bytes, or lose their end: a
checkpoint must then be refused, and a weights file either be refused in one line or,
where only values of weights changed, be read as it is. Where a small disk can be
mounted, runs meet its end at random, and go on when there is room.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from absl import flags

from experiments.support import program
from normtest_tf import errors, runs, sweeps, text
from normtest_tf.system import quiet

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).parent.parent
DISK_BYTES = 16 * 2**20  # A run of cifar_resnet8 needs about 10 MiB.

flags.DEFINE_integer("kills", 30, "How often runs are killed.", lower_bound=0)
flags.DEFINE_integer("sweep_kills", 10, "How often sweeps are killed.", lower_bound=0)
flags.DEFINE_integer(
    "checkpoints", 200, "How many checkpoints are damaged.", lower_bound=0
)
flags.DEFINE_integer(
    "weights_files", 1000, "How many weights files are damaged.", lower_bound=0
)
flags.DEFINE_integer("full_disks", 10, "How often a disk is full.", lower_bound=0)
flags.DEFINE_integer("seed", 223, "Decides moments and damages.", lower_bound=0)


@dataclasses.dataclass
class Count:
    """How often a fault was tried, and how often nothing was lost by it."""

    fault: str
    tried: int = 0
    survived: int = 0


def configurations(folder: pathlib.Path) -> list[runs.RunConfig]:
    """Returns the runs of the sweep; the first is the one that is killed alone."""
    base = runs.RunConfig(
        epochs=8,
        train_examples=256,
        test_examples=100,
        batch_size=64,
        keep="best_test",
        results_dir=str(folder),
    )
    return sweeps.grid(
        base,
        datasets=["digits"],
        models=["cifar_resnet8"],
        normalizations=["pretrain", "finetune"],
        seeds=[1, 2],
        weights={"cifar_resnet8": None},
    )


def outcome(config: runs.RunConfig) -> tuple[object, ...]:
    """Returns what must not depend on faults: history, weights and choices."""
    import keras

    clocks = ("seconds", "images_per_second")
    rows = [
        {name: value for name, value in row.items() if name not in clocks}
        for row in runs.read_history(config.folder)
    ]
    result = runs.read_json(config.folder / "result.json")
    choices = {k: v for k, v in result.items() if k.endswith(("epoch", "accuracy"))}
    model = keras.models.load_model(config.folder / "model.keras")
    return rows, [weights.tobytes() for weights in model.get_weights()], choices


def start_run(config: runs.RunConfig) -> multiprocessing.process.BaseProcess:
    """Starts a run in a process that need not import TensorFlow first."""
    # A process with one thread can be forked safely.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["normtest_tf.runs.finetuning"])
    process = context.Process(target=_run, args=(config,))
    process.start()
    return process


def _run(config: runs.RunConfig) -> None:
    """Runs silently; the exit status is that of a program."""
    from normtest_tf.runs import finetuning

    with (
        open(os.devnull, "w") as null,
        contextlib.redirect_stdout(null),
        quiet.silent_stderr(),
    ):
        try:
            finetuning.run(config, epoch_lines=False)
        except errors.UsageError:
            sys.exit(program.USAGE_STATUS)


def start_sweep(folder: pathlib.Path) -> subprocess.Popen:
    """Starts the sweep as a user would."""
    first = configurations(folder)[0]
    names = ("epochs", "train_examples", "test_examples", "batch_size", "keep")
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "experiments.sweep", "--seeds=1,2"),
            *(f"--datasets={first.dataset}", f"--models={first.model}"),
            *(f"--{name}={getattr(first, name)}" for name in names),
            f"--results_dir={folder}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def kill_until_done(
    start: Callable[[], subprocess.Popen | multiprocessing.process.BaseProcess],
    moments: Iterator[float],
    left: int,
) -> int:
    """Starts something again and again until it ends by itself.

    Args:
        start: Starts the process.
        moments: When to kill it, in seconds from its start.
        left: How many kills at most.

    Returns:
        How many kills have hit.
    """
    hit = 0
    while True:
        process = start()
        wait = process.join if hasattr(process, "join") else process.wait
        if hit == left:
            wait()
            return hit
        with contextlib.suppress(subprocess.TimeoutExpired):
            wait(timeout=next(moments))
        if not _is_running(process):
            return hit
        process.kill()
        wait()
        hit += 1


def _is_running(
    process: subprocess.Popen | multiprocessing.process.BaseProcess,
) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is None
    return process.is_alive()


def killed_runs(folder: pathlib.Path, kills: int, generator: random.Random) -> Count:
    """Kills runs at random moments; see `Count`."""
    count = Count("run killed (SIGKILL)")
    whole = configurations(folder / "whole")[0]
    if not kills:
        return count
    start_run(whole).join()  # The first one also waits for TensorFlow's import.
    seconds = runs.read_json(whole.folder / "result.json")["total_seconds"]
    moments = iter(lambda: generator.uniform(0.05, 1.0) * seconds, None)
    for number in range(10 * kills):
        config = configurations(folder / str(number))[0]
        hit = kill_until_done(lambda c=config: start_run(c), moments, kills)
        kills -= hit
        count.tried += hit
        count.survived += hit if _equal([config], [whole]) else 0
        if not kills:
            break
    return count


def killed_sweeps(folder: pathlib.Path, kills: int, generator: random.Random) -> Count:
    """Kills sweeps at random moments; see `Count`."""
    count = Count("sweep killed (SIGKILL)")
    if not kills:
        return count
    whole = folder / "whole"
    started = time.perf_counter()
    start_sweep(whole).wait()
    seconds = time.perf_counter() - started
    moments = iter(lambda: generator.uniform(0.2, 1.0) * seconds, None)
    for number in range(10 * kills):
        killed = folder / str(number)
        hit = kill_until_done(lambda f=killed: start_sweep(f), moments, kills)
        kills -= hit
        count.tried += hit
        same = _equal(configurations(killed), configurations(whole))
        count.survived += hit if same else 0
        if not kills:
            break
    return count


def _equal(found: Sequence[runs.RunConfig], expected: Sequence[runs.RunConfig]) -> bool:
    """Tells whether all runs are finished and equal."""
    return all(
        runs.is_finished(one.folder) and outcome(one) == outcome(other)
        for one, other in zip(found, expected, strict=True)
    )


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Returns other bytes: shorter, or with a few of them changed."""
    if generator.random() < 0.3:
        return data[: generator.randrange(len(data))]
    changed = bytearray(data)
    # Half of the damages hit the start, where a file says what it holds.
    end = len(data) if generator.random() < 0.5 else min(len(data), 4096)
    for _ in range(generator.randint(1, 8)):
        changed[generator.randrange(end)] ^= generator.randint(1, 255)
    return bytes(changed) if changed != data else data[:-1]


def damaged_checkpoints(number: int, generator: random.Random) -> Count:
    """Damages checkpoints; survived is what was refused."""
    import numpy as np

    from normtest_tf.runs import checkpoints

    count = Count("checkpoint damaged", tried=number)
    tensors = {"model/00000": np.arange(5000, dtype="float32")}
    data = checkpoints.encode(checkpoints.Checkpoint(1, {"rows": []}, tensors))
    for _ in range(number):
        try:
            checkpoints.decode(mutated(data, generator))
        except checkpoints.UnreadableError:
            count.survived += 1
    return count


def damaged_weights(
    folder: pathlib.Path, number: int, generator: random.Random
) -> Count:
    """Damages weights files; survived is what was refused in a line, or harmless."""
    from normtest_tf import backbones
    from normtest_tf.backbones.weights import sources as weights

    count = Count("weights file damaged", tried=number)
    source = backbones.resolve("cifar_resnet8")
    data = weights.fetch(source).read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    path = folder / "weights.safetensors"
    model = backbones.CifarResNet8(weights=None)
    for _ in range(number):
        damaged = mutated(data, generator)
        path.write_bytes(damaged)
        try:
            weights.load(model, dataclasses.replace(source, tag=None, path=path))
        except errors.UsageError as error:
            count.survived += len(str(error).splitlines()) == 1
        except Exception as error:
            print(f"{type(error).__name__}: {errors.one_line(error)[:200]}")
        else:
            # Only numbers may have changed; the table of tensors says the same.
            count.survived += len(damaged) == len(data) and _same_tensors(
                data[8:header], damaged[8:header]
            )
    return count


def _same_tensors(one: bytes, other: bytes) -> bool:
    """Tells whether two headers of safetensors files describe the same tensors."""
    import json

    first, second = json.loads(one), json.loads(other)
    first.pop("__metadata__", None)
    second.pop("__metadata__", None)
    return first == second


def full_disks(folder: pathlib.Path, number: int, generator: random.Random) -> Count:
    """Lets runs meet the end of a disk; survived is what goes on to the same end."""
    count = Count("disk full")
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(disk)]
    if not number or subprocess.run(mount, capture_output=True, check=False).returncode:
        return count  # Only root can mount; 0 tried says it.
    try:
        whole = configurations(folder / "whole")[0]
        start_run(whole).join()
        config = configurations(disk)[0]
        for _ in range(number):
            room = generator.randrange(8 * 2**20)
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(bytes(max(0, free - room)))
            process = start_run(config)
            process.join()
            count.tried += process.exitcode == program.USAGE_STATUS
            (disk / "filler").unlink()
            start_run(config).join()
            count.survived += process.exitcode == program.USAGE_STATUS and _equal(
                [config], [whole]
            )
            shutil.rmtree(config.folder)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    return count


def main(argv: Sequence[str]) -> None:
    """Runs the campaign and prints its table; a loss is an error."""
    del argv
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    quiet.import_tensorflow()
    generator = random.Random(FLAGS.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part in ("runs", "sweeps", "disks"):
            (folder / part).mkdir()
        counts = [
            damaged_checkpoints(FLAGS.checkpoints, generator),
            damaged_weights(folder, FLAGS.weights_files, generator),
            full_disks(folder / "disks", FLAGS.full_disks, generator),
            killed_runs(folder / "runs", FLAGS.kills, generator),
            killed_sweeps(folder / "sweeps", FLAGS.sweep_kills, generator),
        ]
    rows = [(count.fault, str(count.tried), str(count.survived)) for count in counts]
    print(text.text_table([("fault", "tried", "survived"), *rows]))
    lost = [count.fault for count in counts if count.survived < count.tried]
    if lost:
        raise errors.UsageError(f"something was lost: {', '.join(lost)}")


if __name__ == "__main__":
    program.run(main)
