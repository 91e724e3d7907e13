"""server.py PORT NAME: counts the messages of each connection."""

import sys

import socketio
import uvicorn

port, name = sys.argv[1:]
server = socketio.AsyncServer(async_mode="asgi")
counts = {}


@server.event
async def message(sid, text):
    counts[sid] = counts.get(sid, 0) + 1
    return {"name": name, "count": counts[sid], "text": text}


uvicorn.run(socketio.ASGIApp(server), host="127.0.0.1", port=int(port), log_level="critical")
