"""What compiled code writes to stderr is discarded, exceptions are not."""

import os

import pytest

from normtest_tf.system import quiet


def test_only_writes_inside_the_block_are_discarded(capfd):
    os.write(2, b"before ")
    with quiet.silent_stderr():
        os.write(2, b"inside ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_an_exception_restores_stderr(capfd):
    with pytest.raises(KeyError), quiet.silent_stderr():
        raise KeyError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
