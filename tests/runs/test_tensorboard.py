"""What TensorBoard is given."""

import os
import sys

import pytest

from normtest_tf.runs import tensorboard


@pytest.mark.skipif(sys.platform != "linux", reason="names must be Unicode")
def test_the_name_of_the_folder_need_not_be_text(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xc4pfel")  # Latin-1.
    writer = tensorboard.Writer(folder, [])
    writer.add({"epoch": 1, "train_loss": 0.5})
    assert len(list(folder.iterdir())) == 1
