"""What files really hold, by their first bytes."""

import pytest

from normtest_tf.system import contents


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf\n <HTML><body>", "a web page"),
        (bytes(512), "zero bytes"),
    ],
)
def test_what_replaced_a_file_is_named(head, words):
    kind = contents.unusable_kind(head, "write it again")
    assert words in kind
    assert ": " in kind  # What follows is advice.


def test_an_empty_file_has_the_callers_advice():
    assert contents.unusable_kind(b"", "write it again") == "empty: write it again"
    assert contents.unusable_kind(b"") == "empty"


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0\1"])
def test_ordinary_files_have_no_such_name(head):
    assert contents.unusable_kind(head) is None


def test_pickles_of_pytorch_are_recognised():
    assert contents.is_pytorch_pickle(b"PK\x03\x04" + b"\0" * 26 + b"archive/data.pkl")
    assert contents.is_pytorch_pickle(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    assert not contents.is_pytorch_pickle(b"PK\x03\x04" + b"\0" * 26 + b"config.json")
    assert not contents.is_pytorch_pickle(b"\x89HDF\r\n\x1a\n")
