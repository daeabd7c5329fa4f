"""The wheel holds only the library, and the library works without the checkout."""

import shutil
import zipfile

import pytest

from tests.helpers import ROOT, programs

DATA = {
    "normtest_tf/py.typed",
    "normtest_tf/backbones/cifar_resnet8.cifar10.safetensors",
    "normtest_tf/backbones/cifar_resnet8_gn.cifar10.safetensors",
    "normtest_tf/backbones/timm_tags.csv",
    "normtest_tf/analysis/extended_table3.csv",
    "normtest_tf/analysis/seed_table1.csv",
}
PROGRAM = """
import sys
import numpy as np
import normtest_tf
from normtest_tf import backbones
from normtest_tf.analysis import published

assert normtest_tf.__file__.startswith(sys.argv[1]), normtest_tf.__file__
model = backbones.CifarResNet8(weights="cifar10")
logits = model.predict(np.zeros([1, 32, 32, 3], "float32"), verbose=0)
assert logits.shape == (1, 10), logits.shape
for name in published.EDITIONS:
    assert published.load(name).accuracies, name
print(normtest_tf.__version__)
"""


def pip(command, *arguments):
    """Runs pip offline and asserts that it succeeds."""
    offline = ("--no-deps", "--no-index", "--quiet")
    done = programs.run_python("-m", "pip", command, *offline, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy, because building leaves files in its source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "studies")
    for name in ("normtest_tf", "experiments", "plots"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_all_of_the_library_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"normtest_tf", metadata}
    assert names >= DATA
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "normtest_tf").rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_installed_library_works_without_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    pip("install", "--target", target, wheel)
    (tmp_path / "elsewhere").mkdir()
    done = programs.run_code(
        PROGRAM, target, cwd=tmp_path / "elsewhere", env={"PYTHONPATH": str(target)}
    )
    assert done.stdout.strip() == wheel.name.split("-")[1]
