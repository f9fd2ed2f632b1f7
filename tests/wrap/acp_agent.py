"""A scripted agent on the protocol's own library: what the last block of a prompt says, it does.

A line is a step: the name of one of the methods `do_…`, and what it takes; any other one is said.
`log=FILE` is written to when an answer is cancelled.
"""

import asyncio
import os
import pathlib
import subprocess
import sys

import acp
from acp import schema


class Scripted(acp.Agent):
    def __init__(self, options):
        self.options = options
        self.turns = {}
        self.cancelled = asyncio.Event()

    def on_connect(self, conn):
        self.client = conn

    async def initialize(self, protocol_version, **_):
        return schema.InitializeResponse(
            protocol_version=int(self.options.get("version", protocol_version)),
            agent_capabilities=schema.AgentCapabilities(
                prompt_capabilities=schema.PromptCapabilities(
                    image="image" in self.options, embedded_context="embedded" in self.options
                )
            ),
            auth_methods=[
                schema.AuthMethodAgent(id="login", name="Log in", description="Run `agent login`"),
            ],
        )

    async def new_session(self, cwd, **_):
        if "auth" in self.options:
            raise acp.RequestError.auth_required()
        self.turns[f"s{len(self.turns)}"] = []
        return schema.NewSessionResponse(session_id=[*self.turns][-1])

    async def cancel(self, session_id, **_):
        if log := self.options.get("log"):
            pathlib.Path(log).write_text(session_id)
        self.cancelled.set()

    async def prompt(self, session_id, prompt, **_):
        self.turns[session_id].append(prompt)
        self.ending = schema.PromptResponse(stop_reason="end_turn")
        asked = prompt[-1].text if prompt[-1].type == "text" else "blocks"
        steps = asyncio.ensure_future(self.play(session_id, asked))
        await asyncio.wait(
            [steps, asyncio.ensure_future(self.cancelled.wait())], return_when="FIRST_COMPLETED"
        )
        if not steps.done():
            steps.cancel()
            return schema.PromptResponse(stop_reason="cancelled")
        steps.result()
        return self.ending

    async def play(self, session, asked):
        for line in asked.splitlines():
            name, _, rest = line.partition(" ")
            step = getattr(self, f"do_{name}", None)
            if step is None:
                await self.tell(session, acp.update_agent_message_text(line))
            else:
                await step(session, rest)

    async def tell(self, session, update):
        await self.client.session_update(session_id=session, update=update)

    async def do_say(self, session, words):
        await self.tell(session, acp.update_agent_message_text(words))

    async def do_think(self, session, words):
        await self.tell(session, acp.update_agent_thought_text(words))

    async def do_tool(self, session, told):
        title, kind, status = told.split(" | ")
        await self.tell(session, acp.start_tool_call("t1", title, kind=kind, status="pending"))
        await self.tell(session, acp.update_tool_call("t1", status=status))

    async def do_plan(self, session, _):
        entries = [acp.plan_entry("look", status="completed"), acp.plan_entry("act")]
        await self.tell(session, acp.update_plan(entries))

    async def do_ask(self, session, told):
        title, _, kind = told.partition(" | ")
        call = schema.ToolCallUpdate(tool_call_id="t2", title=title, kind=kind or "execute")
        options = [
            schema.PermissionOption(option_id=each, name=each, kind=each)
            for each in self.options.get("choices", "allow_always,allow_once,reject_once").split(
                ","
            )
        ]
        given = await self.client.request_permission(
            session_id=session, tool_call=call, options=options
        )
        chosen = getattr(given.outcome, "option_id", given.outcome.outcome)
        await self.do_say(session, f"<{chosen}>")

    async def do_wait(self, session, path):
        while not pathlib.Path(path).exists():
            await asyncio.sleep(0.02)

    async def do_sleep(self, session, _):
        await asyncio.sleep(60)

    async def do_stop(self, session, reason):
        self.ending.stop_reason = reason

    async def do_usage(self, session, numbers):
        names = ("total_tokens", "input_tokens", "output_tokens", "thought_tokens")
        names += ("cached_read_tokens", "cached_write_tokens")
        self.ending.usage = schema.Usage(
            **dict(zip(names, map(int, numbers.split()), strict=False))
        )

    async def do_fail(self, session, told):
        code, _, message = told.partition(" ")
        raise acp.RequestError(int(code), message, {"details": os.environ.get("TOKEN", "because")})

    async def do_files(self, session, _):
        for ask in (
            self.client.read_text_file(session_id=session, path="/etc/passwd"),
            self.client.create_terminal(session_id=session, command="ls"),
        ):
            try:
                await ask
            except acp.RequestError as error:
                await self.do_say(session, f"<{error.code}>")

    async def do_blocks(self, session, _):
        prompt = self.turns[session][-1]
        await self.do_say(session, ",".join(each.type for each in prompt))

    async def do_prompt(self, session, _):
        await self.do_say(session, "".join(each.text for each in self.turns[session][-1]))

    async def do_turns(self, session, _):
        told = [each[-1].text for each in self.turns[session]]
        await self.do_say(session, f"{session} {len(told)} {len(self.turns[session][-1])}")

    async def do_pid(self, session, _):
        await self.do_say(session, str(os.getpid()))

    async def do_noise(self, session, _):
        print("not a message", flush=True)

    async def do_broken(self, session, _):
        print('{"jsonrpc": "2.0", "method": ', flush=True)

    async def do_print(self, session, words):
        print(words, flush=True)

    async def do_newer(self, session, _):
        note = {"jsonrpc": "2.0", "method": "session/update"}
        note["params"] = {"sessionId": session, "update": {"sessionUpdate": "tomorrow"}}
        import json

        print(json.dumps(note), flush=True)

    async def do_die(self, session, status):
        print("the reason", file=sys.stderr, flush=True)
        os._exit(int(status or 0))

    async def do_image(self, session, _):
        await self.tell(session, acp.update_agent_message(acp.image_block("iVBO", "image/png")))

    async def do_child(self, session, _):
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
        await self.do_say(session, f"{os.getpid()} {child.pid}")


options = dict(each.partition("=")[::2] for each in sys.argv[1:])
if "greet" in options:
    print("Welcome!", flush=True)
asyncio.run(acp.run_agent(Scripted(options)))
