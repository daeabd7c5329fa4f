"""What compiled code writes to stderr is discarded, exceptions are not."""

import os

import pytest
import tensorflow as tf

from normtest_tf.system import keras_setup
from tests.helpers import programs


def test_only_writes_inside_the_block_are_discarded(capfd):
    os.write(2, b"before ")
    with keras_setup.silent_stderr():
        os.write(2, b"inside ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_an_exception_restores_stderr(capfd):
    with pytest.raises(KeyError), keras_setup.silent_stderr():
        raise KeyError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


CLOSED = """
import sys
from normtest_tf.system import keras_setup
assert sys.stderr is None
with keras_setup.silent_stderr():
    print("inside")
print("after")
"""


def test_a_closed_stderr_stays_closed():
    done = programs.run_shell('"$0" -c "$1" 2>&-', CLOSED)
    assert done.stdout.split() == ["inside", "after"]


@pytest.mark.parametrize(
    ("backend", "hidden"), [("tensorflow", []), ("jax", [([], "GPU")])]
)
def test_tensorflow_takes_no_gpu_that_another_backend_trains_on(
    backend, hidden, monkeypatch
):
    calls = []
    monkeypatch.setattr(keras_setup, "import_keras", lambda: None)
    monkeypatch.setattr(keras_setup, "backend", lambda: backend)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda *given: calls.append(given)
    )
    keras_setup.import_tensorflow()
    assert calls == hidden
