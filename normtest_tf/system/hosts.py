"""Asking whether a host answers before a slow client retries for minutes."""

from __future__ import annotations

import threading

from normtest_tf import errors

# A name look-up can hang beyond every timeout of a socket, hence a limit of our own.
HOST_SECONDS = 8.0
# A proxy answers with these on behalf of a host that it can't reach.
_PROXY_ERRORS = frozenset({407, 502, 503, 504})


def host_problem(url: str) -> str | None:
    """Asks for `url` and tells why there is no answer.

    Args:
        url: Any page of the host; its body is not read.

    Returns:
        None if the host answers, whatever it answers, else a short reason, within
        `HOST_SECONDS`.
    """
    problem = [f"no answer within {HOST_SECONDS:g} s"]

    def ask() -> None:
        # Knows the proxies and certificates that the environment names.
        import requests

        try:
            with requests.get(url, stream=True, timeout=HOST_SECONDS) as response:
                problem[0] = (
                    f"a proxy answered {response.status_code}"
                    if response.status_code in _PROXY_ERRORS
                    else ""
                )
        except (requests.RequestException, OSError) as error:
            problem[0] = errors.first_cause(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HOST_SECONDS)
    return problem[0] or None
