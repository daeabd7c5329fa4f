"""What files really hold, by their first bytes."""

import pytest

from normtest_tf.system import files


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
    kind = files.unusable_kind(head, "write it again")
    assert words in kind
    assert ": " in kind  # What follows is advice.


def test_an_empty_file_has_the_callers_advice():
    assert files.unusable_kind(b"", "write it again") == "empty: write it again"
    assert files.unusable_kind(b"") == "empty"


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0\1"])
def test_ordinary_files_have_no_such_name(head):
    assert files.unusable_kind(head) is None


def test_the_head_of_a_file_is_all_of_a_short_one(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.read_head(tmp_path / "a") == b"abc"
    (tmp_path / "a").write_bytes(b"abc" * 999)
    assert files.read_head(tmp_path / "a") == (b"abc" * 999)[: files.HEAD_BYTES]
