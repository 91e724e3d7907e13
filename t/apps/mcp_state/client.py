"""client.py URL SESSIONS CALLS TOOL: that many clients at once, which call a tool again and again."""

import os
import sys

from mcp import Client
from mcp_types import ElicitResult

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, count, calls, tool = sys.argv[1:]


async def answer(context, params):
    return ElicitResult(action="accept", content={"color": "green"})


async def paint(number):
    async with Client(url, mode="2026-07-28", elicitation_callback=answer) as client:
        for call in range(int(calls)):
            result = await client.call_tool("paint", {"thing": f"wall-{number}-{call}"})
            text = result.content[0].text
            name, _, rest = text.partition(" ")
            if result.is_error or rest != f"green wall-{number}-{call}":
                raise RuntimeError(text)
    return name


async def count_calls(_):
    async with Client(url, mode="2026-07-28") as client:
        begun = (await client.call_tool("begin", {})).structured_content
        names = {begun["server"]}
        for call in range(1, int(calls) + 1):
            result = await client.call_tool("count", {"session_id": begun["session_id"]})
            if result.is_error:
                raise RuntimeError(result.content[0].text)
            names.add(result.structured_content["server"])
            if result.structured_content["count"] != call:
                raise RuntimeError(f"call {call}: {result.structured_content}")
    return one(names)


sessions(count, paint if tool == "paint" else count_calls)
