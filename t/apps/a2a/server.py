"""server.py PORT NAME URL: an agent of the A2A protocol whose tasks ask for more with each message and count
them. URL is where its card says that it is found."""

import sys

import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_status_update_event
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, TaskState
from starlette.applications import Starlette

port, name, url = sys.argv[1:]
counts = {}


class Counter(AgentExecutor):
    async def execute(self, context, event_queue):
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        counts[task.id] = counts.get(task.id, 0) + 1
        text = f"{name} {counts[task.id]}"
        state = TaskState.TASK_STATE_INPUT_REQUIRED
        await event_queue.enqueue_event(new_text_status_update_event(task.id, task.context_id, state, text))

    async def cancel(self, context, event_queue):
        state = TaskState.TASK_STATE_CANCELED
        await event_queue.enqueue_event(new_text_status_update_event(context.task_id, context.context_id, state, name))


card = AgentCard(
    name="counter",
    description="Counts.",
    version="1",
    capabilities=AgentCapabilities(streaming=False),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    supported_interfaces=[
        AgentInterface(url=f"{url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"),
        AgentInterface(url=f"{url}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
    ],
)
handler = DefaultRequestHandlerV2(Counter(), InMemoryTaskStore(), card)
routes = [
    *create_agent_card_routes(card),
    *create_jsonrpc_routes(handler, "/rpc"),
    *create_rest_routes(handler, path_prefix="/rest"),
]
uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(port), log_level="critical")
