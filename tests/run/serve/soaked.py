"""What the soak serves: answers that carry what was asked, and a look inside the server."""

import asyncio
import gc
import json
import threading

import psutil

from chatwright import chat_model

PIECES = 6


@chat_model
async def echo(messages):
    """Say the prompt over and over, in pieces; a prompt of `inside` asks about the server."""
    nonce = messages[-1].text
    if nonce == "inside":
        gc.collect()
        process = psutil.Process()
        yield json.dumps(
            {
                "tasks": len(asyncio.all_tasks()),
                "threads": threading.active_count(),
                "sockets": len(process.net_connections("tcp")),
                "memory": process.memory_info().rss / 2**20,
            }
        )
        return
    for _ in range(PIECES):
        yield f"{nonce} "
        await asyncio.sleep(0.01)
