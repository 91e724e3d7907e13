"""client.py URL CLIENTS REQUESTS: that many clients at once, each of which asks again and again with the nonce
that it was given once. A server that did not make the nonce asks for the password anew."""

import os
import sys

import httpx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, clients, requests = sys.argv[1:]


async def walk(_):
    names = set()
    challenges = 0
    auth = httpx.DigestAuth("alice", "secret")
    async with httpx.AsyncClient(timeout=30) as client:

        async def note(response):
            nonlocal challenges
            challenges += response.status_code == 401

        client.event_hooks["response"].append(note)
        for _ in range(int(requests)):
            response = await client.get(f"{url}/page.txt", auth=auth)
            response.raise_for_status()
            names.add(response.headers["X-Backend"])
    if challenges != 1:
        raise RuntimeError(f"asked for the password {challenges} times")
    return one(names)


sessions(clients, walk)
