"""client.py URL KERNELS CELLS: that many notebooks at once, each of which starts a kernel, runs cells in it
over its WebSocket, asks for it, and ends it."""

import json
import os
import sys
from uuid import uuid4

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, kernels, cells = sys.argv[1:]


async def api(method, path, body=None):
    data = None if body is None else json.dumps(body)
    request = HTTPRequest(f"{url}{path}", method=method, body=data, request_timeout=60)
    response = await AsyncHTTPClient().fetch(request)
    return json.loads(response.body) if response.body else None


async def run(socket, code):
    """The text that the code prints."""
    identity = uuid4().hex
    await socket.write_message(json.dumps({
        "channel": "shell",
        "header": {
            "msg_id": identity, "msg_type": "execute_request", "version": "5.3", "username": "", "session": identity,
            "date": "2026-01-01T00:00:00Z",
        },
        "parent_header": {}, "metadata": {},
        "content": {
            "code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False,
        },
    }))
    text = ""
    while True:
        message = await socket.read_message()
        if message is None:
            raise RuntimeError("the kernel's connection is closed")
        message = json.loads(message)
        if message["parent_header"].get("msg_id") != identity:
            continue
        if message["msg_type"] == "stream":
            text += message["content"]["text"]
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return text


async def walk(_):
    kernel = (await api("POST", "/api/kernels", {"name": "python3"}))["id"]
    names = set()
    for cell in range(1, int(cells) + 1):
        socket = await websocket_connect(f"{url.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels")
        await run(socket, "count = globals().get('count', 0) + 1")
        printed = await run(socket, "import os; print(os.environ['SERVER_NAME'], count)")
        name, count = printed.split()
        names.add(name)
        if int(count) != cell:
            raise RuntimeError(f"cell {cell} is the {count}th of {name}")
        socket.close()
        await api("GET", f"/api/kernels/{kernel}")
    await api("DELETE", f"/api/kernels/{kernel}")
    return one(names)


sessions(kernels, walk, timeout=120, at_once=6)
