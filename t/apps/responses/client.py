"""client.py URL CONVERSATIONS TURNS whole|stream: that many conversations at once, each of which goes on from
the response before, and asks for it once more by its path."""

import os
import sys

from openai import AsyncOpenAI

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, conversations, turns, how = sys.argv[1:]


async def create(client, previous):
    asked = {"model": "parrot", "input": "Hello", "previous_response_id": previous}
    if previous is None:
        del asked["previous_response_id"]
    if how == "whole":
        return await client.responses.create(**asked)
    async for event in await client.responses.create(stream=True, **asked):
        if event.type == "response.completed":
            return event.response
    raise RuntimeError("no response")


async def walk(_):
    names = set()
    previous = None
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for turn in range(1, int(turns) + 1):
            made = await create(client, previous)
            again = await client.responses.retrieve(made.id)
            for response in (made, again):
                name, number = response.output_text.split()
                names.add(name)
                if int(number) != turn:
                    raise RuntimeError(f"turn {turn} is the {number}th of {name}")
            previous = made.id
    return one(names)


sessions(conversations, walk)
