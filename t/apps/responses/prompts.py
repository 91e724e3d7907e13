"""prompts.py URL CHATS TURNS prompt_cache_key|user: that many chats, whose requests say by that member that
they belong together. One after the other: under balance_factor, a busy server is passed over."""

import os
import sys
from uuid import uuid4

from openai import AsyncOpenAI

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, chats, turns, member = sys.argv[1:]


async def walk(_):
    names = set()
    same = {member: str(uuid4())}
    messages = []
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for _ in range(int(turns)):
            messages.append({"role": "user", "content": "Hello"})
            made = await client.chat.completions.create(model="parrot", messages=messages, **same)
            messages.append({"role": "assistant", "content": made.choices[0].message.content})
            names.add(messages[-1]["content"])
    return one(names)


sessions(chats, walk, at_once=1)
