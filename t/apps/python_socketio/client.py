"""client.py URL CLIENTS MESSAGES: that many clients at once over long polling, each of which sends its messages
one after the other."""

import os
import sys

import socketio

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, clients, messages = sys.argv[1:]


async def walk(number):
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(url, transports=["polling"])
    names = set()
    for count in range(1, int(messages) + 1):
        answer = await client.call("message", f"{number}.{count}", timeout=5)
        names.add(answer["name"])
        if answer["count"] != count:
            raise RuntimeError(f"message {count}: {answer}")
    await client.disconnect()
    return one(names)


sessions(clients, walk, timeout=60)
