"""client.py URL CLIENTS CALLS: that many clients at once, each of which counts in its session."""

import os
import sys

from gradio_client import Client

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, clients, calls = sys.argv[1:]


def walk(_):
    client = Client(url, verbose=False, analytics_enabled=False)
    names = set()
    for call in range(1, int(calls) + 1):
        name, count = client.predict(api_name="/count").split()
        names.add(name)
        if int(count) != call:
            raise RuntimeError(f"call {call} is the {count}th of {name}")
    return one(names)


# A session that is lost waits for its result in vain; a visitor alone needs less time to know it.
sessions(clients, walk, timeout=25 if "STICKY_VISITOR" in os.environ else 60)
