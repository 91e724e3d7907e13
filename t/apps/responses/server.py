"""server.py PORT NAME: the Responses API of an LLM server, as far as conversations need it: each response has
an id and goes on from that of the one before, which only its server knows; whole, or as events. And chats,
which any server answers, and says its name. OpenAI's own is not in a registry."""

import json
import sys
import time
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

port, name = sys.argv[1:]
turns = {}


def response(previous, text):
    identity = f"resp_{uuid4().hex}"
    return {
        "id": identity,
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": "parrot",
        "previous_response_id": previous,
        "output": [{
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def missing(identity):
    message = f"Previous response with id '{identity}' not found."
    return JSONResponse({"error": {"message": message, "code": "previous_response_not_found"}}, 400)


async def create(request):
    asked = await request.json()
    previous = asked.get("previous_response_id")
    if previous is not None and previous not in turns:
        return missing(previous)
    turn = turns.get(previous, 0) + 1
    made = response(previous, f"{name} {turn}")
    turns[made["id"]] = turn
    if not asked.get("stream"):
        return JSONResponse(made)

    def events():
        text = made["output"][0]["content"][0]["text"]
        delta = {"item_id": made["output"][0]["id"], "output_index": 0, "content_index": 0, "delta": text, "logprobs": []}
        for number, (kind, more) in enumerate([
            ("response.created", {"response": {**made, "status": "in_progress", "output": []}}),
            ("response.output_text.delta", delta),
            ("response.completed", {"response": made}),
        ]):
            yield f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **more})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def one(request):
    identity = request.path_params["identity"]
    if identity not in turns:
        return JSONResponse({"error": {"message": f"No response {identity}"}}, 404)
    return JSONResponse({**response(None, f"{name} {turns[identity]}"), "id": identity})


async def chat(request):
    message = {"role": "assistant", "content": name}
    return JSONResponse({
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": (await request.json())["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
    })


routes = [
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/v1/responses", create, methods=["POST"]),
    Route("/v1/responses/{identity}", one),
]
uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(port), log_level="critical")
