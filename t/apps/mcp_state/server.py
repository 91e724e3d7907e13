"""server.py PORT NAME: an MCP server of the revision of 2026-07-28, without Mcp-Session-Id. One tool asks its
user in between, so that a requestState goes out and comes back, which only its own server can open. The
others have a session of their own, whose id is an argument."""

import sys
from typing import Annotated
from uuid import uuid4

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

port, name = sys.argv[1:]
server = MCPServer("counter", log_level="CRITICAL")
counts = {}


class Answer(BaseModel):
    color: str


class Counted(BaseModel):
    server: str
    session_id: str
    count: int


def ask() -> Elicit[Answer]:
    return Elicit("Which color?", Answer)


@server.tool()
def paint(thing: str, answer: Annotated[Answer, Resolve(ask)]) -> str:
    """Asks for a color."""
    return f"{name} {answer.color} {thing}"


@server.tool()
def begin() -> Counted:
    """Begins to count."""
    session_id = uuid4().hex
    counts[session_id] = 0
    return Counted(server=name, session_id=session_id, count=0)


@server.tool()
def count(session_id: str) -> Counted:
    """Counts the calls of a session."""
    counts[session_id] += 1
    return Counted(server=name, session_id=session_id, count=counts[session_id])


server.run("streamable-http", host="127.0.0.1", port=int(port))
