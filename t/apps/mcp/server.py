"""server.py TRANSPORT PORT NAME: an MCP server that counts the calls of each session."""

import sys
from weakref import WeakKeyDictionary

from mcp.server.fastmcp import Context, FastMCP

transport, port, name = sys.argv[1:]
server = FastMCP("counter", host="127.0.0.1", port=int(port), log_level="ERROR")
counts = WeakKeyDictionary()


@server.tool()
def count(ctx: Context) -> str:
    """Tells who answers, and how often this session has asked."""
    counts[ctx.session] = counts.get(ctx.session, 0) + 1
    return f"{name} {counts[ctx.session]}"


server.run(transport=transport)
