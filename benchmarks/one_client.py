"""A client of hostile_requests.py in a process of its own.

``one_client.py URL SECONDS`` asks for the URL as long, and prints the seconds of each answer as a
JSON list; ``one_client.py URL FILE`` posts the file until it is ended.
"""

import json
import sys
import time
from pathlib import Path

import requests


def main(url: str, what: str) -> None:
    """Runs it."""
    with requests.Session() as session:
        if Path(what).is_file():
            body = Path(what).read_bytes()
            while True:
                session.post(url, data=body)
        times, end = [], time.perf_counter() + float(what)
        while (start := time.perf_counter()) < end:
            session.get(url, timeout=60).raise_for_status()
            times.append(time.perf_counter() - start)
            time.sleep(0.005)
        print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
