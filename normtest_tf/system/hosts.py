"""Checking that a server can be reached, before a client retries for minutes."""

from __future__ import annotations

import threading

from normtest_tf import errors

# Our own limit, because a name look-up can hang beyond every socket timeout.
TIMEOUT_SECONDS = 8.0
# A proxy answers with one of these when it can't reach the server itself.
_PROXY_ERRORS = frozenset({407, 502, 503, 504})


def host_problem(url: str) -> str | None:
    """Requests `url` and explains why there was no answer.

    Args:
        url: Any page of the host; its body is not downloaded.

    Returns:
        None if the host answers, whatever the status, else a short reason. Takes at
        most `TIMEOUT_SECONDS`.
    """
    problem: list[str | None] = [f"no answer within {TIMEOUT_SECONDS:g} s"]

    def ask() -> None:
        # requests honours the proxies and certificates of the environment.
        import requests

        try:
            with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
                status = response.status_code
        except (requests.RequestException, OSError) as error:
            problem[0] = errors.first_cause(error)
        else:
            refused = status in _PROXY_ERRORS
            problem[0] = f"a proxy answered {status}" if refused else None

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return problem[0]
