"""The GPUs of this machine, as nvidia-smi and CUDA_VISIBLE_DEVICES tell them."""

import pytest

from normtest_tf.sweeps import local
from tests.sweeps.executor_helpers import fake_nvidia_smi

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-a)
  MIG 3g.20gb     Device  1: (UUID: MIG-b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2)
"""


@pytest.mark.parametrize(
    ("printed", "expected"),
    [(TWO, ["0", "1"]), (DIVIDED, ["MIG-a", "MIG-b", "1"]), ("No devices.", [])],
)
def test_nvidia_smi_lists_gpus(printed, expected, tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, printed)
    assert local.visible_gpus() == expected


def test_without_a_working_nvidia_smi_there_are_none(tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO, status=9)
    assert local.visible_gpus() == []
    monkeypatch.setenv("PATH", "")
    assert local.visible_gpus() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("-1", []),
        ("2", ["2"]),
        ("3, 1", ["3", "1"]),
        ("0,-1,1", ["0"]),
        ("GPU-1,MIG-a", ["GPU-1", "MIG-a"]),
    ],
)
def test_the_environment_has_the_last_word(value, expected, tmp_path, monkeypatch):
    fake_nvidia_smi(tmp_path, monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert local.visible_gpus() == expected
