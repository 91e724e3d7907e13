"""What the clients in Python share: walks that many sessions at once, and prints a line of JSON: how many
held, at how many servers, and why the others failed."""

import asyncio
import json
import logging
import os


def one(names):
    """The only element of a set of servers' names."""
    if len(names) != 1:
        raise RuntimeError(f"served by {', '.join(sorted(names)) or 'nobody'}")
    return next(iter(names))


def why(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:200]


async def walked(count, walk, timeout, at_once):
    places = asyncio.Semaphore(at_once)

    async def limited(number):
        async with places:
            return await asyncio.wait_for(walk(number), timeout)

    results = await asyncio.gather(*(limited(number) for number in range(int(count))), return_exceptions=True)
    good = [result for result in results if isinstance(result, str)]
    errors = {why(result) for result in results if not isinstance(result, str)}
    print(json.dumps({"good": len(good), "servers": len(set(good)), "errors": sorted(errors)[:3]}), flush=True)
    # Threads that still wait for an answer would keep the process.
    os._exit(0)


def sessions(count, walk, timeout=60, at_once=100):
    """`walk` is a coroutine function, or a function that is called in a thread."""
    logging.disable(logging.CRITICAL)
    if not asyncio.iscoroutinefunction(walk):
        blocking = walk

        async def walk(number):
            return await asyncio.to_thread(blocking, number)

    asyncio.run(walked(count, walk, timeout, at_once))
