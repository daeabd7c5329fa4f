"""Whether a host can be reached: answers, a proxy's refusal, no answer at all."""

import io
import threading
import time

import pytest

from normtest_tf.system import files


def test_a_hanging_name_look_up_is_cut_short(monkeypatch):
    import requests

    finished = threading.Event()

    def hang(*_, **__):
        finished.wait(30)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", hang)
    monkeypatch.setattr(files, "TIMEOUT_SECONDS", 0.2)
    start = time.monotonic()
    assert files.host_problem("http://example.invalid") == "no answer within 0.2 s"
    assert time.monotonic() - start < 5
    finished.set()


@pytest.mark.parametrize(
    ("status", "problem"),
    [(200, None), (404, None), (502, "a proxy answered 502")],
)
def test_any_answer_but_a_proxys_refusal_will_do(monkeypatch, status, problem):
    import requests

    response = requests.Response()
    response.status_code = status
    response.raw = io.BytesIO()
    monkeypatch.setattr(requests, "get", lambda *_, **__: response)
    assert files.host_problem("http://example.invalid") == problem


def test_an_error_is_explained_by_its_root_cause(monkeypatch):
    import requests

    def fail(*_, **__):
        raise requests.ConnectionError("max retries") from OSError("no route to host")

    monkeypatch.setattr(requests, "get", fail)
    assert files.host_problem("http://example.invalid") == "no route to host"
