"""Exports that TensorFlow writes for another backend; see tests/test_backends.py."""

import pytest

from normtest_tf.export import ExportError, conversion
from tests.export.helpers import small_model


def test_what_tensorflow_can_not_write_is_told_in_one_line(tmp_path):
    words = (
        r"^the a\\b export can't be written by TensorFlow \(exit status 1\): .*a.*b'$"
    )
    with pytest.raises(ExportError, match=words):
        conversion.write(small_model(), tmp_path / "export", r"a\b", {})
    assert not list(tmp_path.iterdir())
