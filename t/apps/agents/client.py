"""client.py URL AGENTS TURNS HEADER: that many agents, each of which makes its session id and sends it in that
header with each call. One after the other: under balance_factor, a busy server is passed over."""

import os
import sys
from uuid import uuid4

from openai import AsyncOpenAI

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, agents, turns, name = sys.argv[1:]


async def walk(_):
    names = set()
    header = {name: str(uuid4())}
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, default_headers=header) as client:
        for _ in range(int(turns)):
            made = await client.responses.create(model="parrot", input="Hello")
            names.add(made.output_text.split()[0])
    return one(names)


sessions(agents, walk, at_once=1)
