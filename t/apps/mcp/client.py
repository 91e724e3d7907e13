"""client.py TRANSPORT URL SESSIONS CALLS: that many sessions at once, each of which calls a tool again and
again. Prints a line of JSON: how many were served without a break, by whom, and why the others failed."""

import asyncio
import json
import logging
import sys

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

transport, url, sessions, calls = sys.argv[1:]
logging.disable(logging.CRITICAL)


async def walk():
    connect = sse_client if transport == "sse" else streamable_http_client
    async with connect(url) as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await asyncio.wait_for(session.initialize(), 30)
            names = set()
            for number in range(1, int(calls) + 1):
                result = await asyncio.wait_for(session.call_tool("count", {}), 30)
                name, count = result.content[0].text.split()
                names.add(name)
                if int(count) != number or len(names) > 1:
                    raise RuntimeError(f"call {number} answered by {name}, its {count}")
            return names.pop()


def why(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def main():
    results = await asyncio.gather(*(walk() for _ in range(int(sessions))), return_exceptions=True)
    good = [result for result in results if isinstance(result, str)]
    errors = {why(result) for result in results if not isinstance(result, str)}
    print(json.dumps({"good": len(good), "servers": len(set(good)), "errors": sorted(errors)[:3]}))


asyncio.run(main())
