"""A request over a socket."""

import json
import socket
import threading
import urllib.request

from chatwright import chat_model, create_app

app = create_app({"shout": chat_model(lambda messages: messages[-1].text.upper())})

import uvicorn

listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
thread = threading.Thread(target=server.run, args=([listener],))
thread.start()
asked = {"model": "shout", "messages": [{"role": "user", "content": "hello"}]}
request = urllib.request.Request(
    f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions",
    json.dumps(asked).encode(),
    {"Content-Type": "application/json"},
)
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        answer = json.load(response)
finally:
    server.should_exit = True
    thread.join()
assert answer["choices"][0]["message"]["content"] == "HELLO"
