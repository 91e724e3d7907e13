"""client.py URL TASKS MESSAGES JSONRPC|HTTP+JSON: that many tasks at once, each of which gets messages and is
asked for by its id."""

import os
import sys

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.helpers import get_message_text, new_text_message
from a2a.types.a2a_pb2 import GetTaskRequest, Role, SendMessageRequest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from sessions import one, sessions  # noqa: E402

url, tasks, messages, binding = sys.argv[1:]


async def walk(_):
    names = set()
    async with httpx.AsyncClient(timeout=30) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        config = ClientConfig(streaming=False, httpx_client=http, supported_protocol_bindings=[binding])
        client = ClientFactory(config).create(card)
        task = None
        for number in range(1, int(messages) + 1):
            message = new_text_message("Go on.", role=Role.ROLE_USER)
            if task is not None:
                message.task_id = task.id
                message.context_id = task.context_id
            async for event in client.send_message(SendMessageRequest(message=message)):
                task = event.task
            again = await client.get_task(GetTaskRequest(id=task.id))
            for seen in (task, again):
                name, count = get_message_text(seen.status.message).split()
                names.add(name)
                if int(count) != number:
                    raise RuntimeError(f"message {number} is the {count}th of {name}")
    return one(names)


sessions(tasks, walk)
