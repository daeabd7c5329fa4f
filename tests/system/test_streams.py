"""stdout and stderr never end a program with a traceback."""

import io
import os
import signal
import sys

import pytest

from normtest_tf import errors
from normtest_tf.system import streams
from tests.helpers import programs


@pytest.fixture
def closed_pipe():
    """A writer of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "wb")  # The stream around it closes it.


def test_a_reader_that_left_interrupts_the_program_once(closed_pipe):
    with streams.Output(closed_pipe, encoding="utf-8") as output:
        output.write("nobody reads this")
        with pytest.raises(errors.Interrupted) as caught:
            output.flush()
        assert streams.pipe_was_closed(caught.value)
        assert caught.value.status == 141
        output.write("nor this")
        output.flush()


def test_a_signal_is_no_closed_pipe():
    assert not streams.pipe_was_closed(errors.Interrupted("", signal.SIGTERM))


def test_messages_that_nobody_reads_are_dropped(closed_pipe):
    with streams.Messages(closed_pipe, encoding="utf-8") as messages:
        messages.write("nobody reads this")
        messages.flush()


@programs.needs_dev_full
def test_a_full_disk_below_stdout_is_a_usage_error():
    file = open("/dev/full", "wb")  # noqa: SIM115  (the stream closes it)
    with streams.Output(file, encoding="utf-8") as output:
        output.write("there is no room for this")
        with pytest.raises(errors.UsageError, match=r"stdout: No space left"):
            output.flush()


PRINT = r"""
import sys
from normtest_tf.system import streams
streams.prepare()
streams.prepare()
print("\xc4pfel \u2502 \udcff", flush=True)
print("\xc4pfel \u2502 \udcff", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", r"\xc4pfel \u2502 \udcff"),
        ("latin-1:strict", "Äpfel \\u2502 \\udcff"),
        ("utf-8", "Äpfel │ \\udcff"),
        ("ascii:surrogateescape", r"\xc4pfel \u2502 \udcff"),
    ],
)
def test_what_an_encoding_lacks_is_escaped(encoding, expected, tmp_path):
    paths = [tmp_path / "printed", tmp_path / "complaints"]
    shell = '"$0" -c "$1" > "$2" 2> "$3"'
    programs.run_shell(shell, PRINT, *paths, env={"PYTHONIOENCODING": encoding})
    for path in paths:
        assert path.read_bytes().decode(encoding.partition(":")[0]).strip() == expected


OPEN = """
import os, sys
from normtest_tf.system import streams
streams.prepare()
print("lost")
print("lost", file=sys.stderr)
sys.stdout.flush()
with open(sys.argv[1], "w") as file:
    assert file.fileno() > 2
    os.write(2, b"a library's log")
"""


def test_a_closed_stream_does_not_become_the_next_file(tmp_path):
    path = tmp_path / "file"
    done = programs.run_shell('"$0" -c "$1" "$2" <&- >&- 2>&-', OPEN, path)
    assert done.returncode == 0
    assert path.read_text() == ""


def test_streams_that_are_no_files_are_left_alone(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr("sys.stdout", text)
    monkeypatch.setattr("sys.stderr", text)
    streams.prepare()
    print("kept")
    assert text.getvalue() == "kept\n"


def test_safe_streams_are_wrapped_once(monkeypatch, tmp_path):
    with open(tmp_path / "file", "w", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdout", file)
        monkeypatch.setattr("sys.stderr", io.StringIO())
        streams.prepare()
        once = sys.stdout
        streams.prepare()
        assert sys.stdout is once
        assert type(once) is streams.Output
