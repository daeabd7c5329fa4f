"""Files: complete or absent, JSON in and out, folders with one writer, hosts."""

import os
import pathlib
import threading
import zipfile

import pytest

from normtest_tf import errors
from normtest_tf.system import files


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "new" / "file.txt"
    files.write_text(path, "old")

    def fail():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            assert temporary.suffix == ".txt"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_a_folder_and_nothing_else(tmp_path):
    def write(path, name):
        with files.atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()

    write(tmp_path / "folder", "old")
    write(tmp_path / "folder", "new")
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "folder/new"]
    with pytest.raises(OSError, match="folder"):
        files.write_text(tmp_path / "folder", "a file")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file", "new")
    assert (tmp_path / "file").is_file()
    assert (tmp_path / "folder/new").is_file()


def test_only_leftovers_of_killed_processes_are_removed(tmp_path):
    for name in (f"{files.TEMPORARY}killed", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    files.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "whole"]


def test_json_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "x.json"
    value = {"name": "été", "numbers": [1, 2.5, None]}
    files.write_json(path, value)
    assert files.read_json(path) == value
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert files.read_json(path) == value
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.write(path, "a/x.json")
    inside = zipfile.Path(tmp_path / "runs.zip") / "a" / "x.json"
    assert files.read_json(inside) == value
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"value": float("nan")})
    assert files.read_json(path) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "it is empty"),
        (b"{", "truncated"),
        (b'{"a": NaN}', "malformed"),
        (b'{"a": {"b": "c"}}', r"Expected `int`, got `object` - at `\$\[...\]`"),
        (b"\xff", "can't decode"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "a web page, .* download it again"),
        (bytes(600), "zero bytes: copy or download it again"),
    ],
)
def test_json_of_another_kind_is_refused(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.UsageError, match=message) as caught:
        files.read_json(path, "buy another", dict[str, int])
    assert str(caught.value).startswith(f"can't read {path}: ")
    assert str(caught.value).endswith("; buy another")
    assert len(str(caught.value).splitlines()) == 1


def test_folders_and_pipes_are_no_text(tmp_path):
    assert files.unusable_kind(b"\x89PNG\r\n\x1a\n") is None
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(errors.UsageError, match="it is not a file"):
            files.read_text(tmp_path / name)


def test_checking_whether_a_folder_is_writable_leaves_no_trace(tmp_path):
    files.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.UsageError, match="can't write to"):
            files.check_writable(folder)
    with pytest.raises(errors.UsageError, match="/proc/results"):
        files.check_writable(pathlib.Path("/proc/results"))


def test_the_home_folder_of_an_unknown_user_is_refused():
    assert files.expand("~/x") == pathlib.Path.home() / "x"
    with pytest.raises(errors.UsageError, match="can't read ~no-such-user/x: "):
        files.expand("~no-such-user/x")


def test_a_folder_has_one_writer_and_is_removed_if_it_was_created_in_vain(tmp_path):
    folder = tmp_path / "run"
    with files.only_writer(folder):
        (folder / "history.csv").touch()
        with pytest.raises(errors.Locked, match="another process is writing"):
            files.only_writer(folder).__enter__()
    with files.only_writer(folder), files.only_writer(folder / "b" / "c"):
        assert (folder / "b" / "c").is_dir()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "history.csv"]
    with pytest.raises(errors.UsageError, match="can't write to"):
        files.only_writer(folder / "history.csv").__enter__()


def test_what_is_free_is_what_machine_and_container_leave(tmp_path, monkeypatch):
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(files, "MEMINFO", str(meminfo))
    monkeypatch.setattr(files, "CGROUP", tmp_path)
    (tmp_path / "memory.current").write_text("1000\n")
    for text, free in (("max", 4000 * 1024), ("21000\n", 20000)):
        limit.write_text(text)
        assert files.free_memory() == free
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 2\ninactive_file 400\n")
    assert files.free_memory() == 20400  # The kernel gives up such a cache.
    job = tmp_path / "slurm" / "job"
    job.mkdir(parents=True)
    (job / "memory.max").write_text("5000\n")
    (job / "memory.current").write_text("2000\n")
    (tmp_path / "own").write_text("1:cpu:/other\n0::/slurm/job\n")
    monkeypatch.setattr(files, "OWN_GROUP", str(tmp_path / "own"))
    assert files.free_memory() == 3000
    (job / "memory.max").unlink()
    limit.unlink()
    meminfo.unlink()
    assert files.free_memory() > 2**20
    assert 10 < files.peak_mebibytes() < 100_000


def test_a_host_answers_or_the_reason_is_given_in_time(monkeypatch):
    import requests

    finished = threading.Event()

    def get(*_, **__):
        if answer == "hang":
            finished.wait(30)
        if isinstance(answer, str):
            cause = OSError("no route to host")
            raise requests.ConnectionError("max retries") from cause
        response = requests.Response()
        response.status_code = answer
        return response

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(requests.Response, "close", lambda _: None)
    for answer, problem in {
        200: None,
        404: None,
        502: "a proxy answered 502",
        "fail": "no route to host",
        "hang": "no answer within 0.2 s",
    }.items():
        if answer == "hang":
            monkeypatch.setattr(files, "TIMEOUT_SECONDS", 0.2)
        assert files.host_problem("http://example.invalid") == problem
    finished.set()
