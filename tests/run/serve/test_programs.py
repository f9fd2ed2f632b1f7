"""Programs that judge a server or work with it: coding agents, suites, command lines."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from run.serve.obliging import obliging

HERE = Path(__file__).parent / "openresponses"
ROOT = Path(__file__).parents[3]
NODE = ROOT / "build" / "node"
CLIENTS = ROOT / ".venv-clients" / "bin"
ASKED = "What does the shell say?"
WITH_NODE = pytest.mark.skipif(
    shutil.which("npm") is None or not (NODE / ".made").exists(),
    reason="npm's programs are not installed: make build/node/.made",
)
WITH_CLIENTS = pytest.mark.skipif(
    not (CLIENTS.parent / ".made").exists(),
    reason="Python's clients are not installed: make .venv-clients/.made",
)


@pytest.fixture
def program():
    """A function that returns a program of those that package.json names."""

    def find(name):
        found = NODE / "node_modules" / ".bin" / name
        assert found.exists(), f"{name} is missing: make build/node/.made"
        return found

    return find


@pytest.fixture
def empty(tmp_path):
    """An empty folder to work in, and the environment of an empty home."""
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    return folder, {"HOME": str(home), "PATH": os.environ["PATH"]}


def told(*command, **options):
    return subprocess.run(
        [*map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.mark.long
@WITH_NODE
def test_the_compliance_suite(serving, program, tmp_path):
    suite = tmp_path / "suite"
    shutil.copytree(HERE / "compliance", suite)
    (suite / "node_modules").symlink_to(NODE / "node_modules")
    url = f"{serving(obliging()).url}/v1"
    asked = [
        "bin/compliance-test.ts",
        "--base-url",
        url,
        "--api-key",
        "x",
        "--model",
        "m",
        "--json",
    ]
    done = told(program("tsx"), "--import", "./websocket.mjs", *asked, cwd=suite)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    wrong = {
        each["name"]: each.get("errors") for each in report["results"] if each["status"] != "passed"
    }
    assert wrong == {}
    assert report["summary"] == {"passed": 17, "failed": 0, "skipped": 0, "total": 17}


def ran_its_shell(model, done):
    """Hold that an agent asked, had its shell say forty-two, and told what the model made of it."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The tool says:" in done.stdout, done.stderr
    first, second = [each for each in model.seen if each.tools]  # a title is asked for, too
    assert any(ASKED in each.text for each in first.messages if each.type == "human")
    assert [each.type for each in second.messages[-2:]] == ["ai", "tool"]
    assert "forty-two" in second.messages[-1].text
    (call,) = second.messages[-2].tool_calls
    assert "echo forty-two" in call["args"].values()


@pytest.mark.long
@WITH_NODE
def test_codex(serving, program, empty):
    model = obliging()
    folder, environment = empty
    provider = {
        "name": '"local"',
        "base_url": f'"{serving(model).url}/v1"',
        "env_key": '"LOCALKEY"',
        "wire_api": '"responses"',
    }
    told_of = "{" + ", ".join(f"{name}={value}" for name, value in provider.items()) + "}"
    settings = ["model_provider=local", "model=m", f"model_providers.local={told_of}"]
    done = told(
        program("codex"),
        *("exec", "--skip-git-repo-check", "--sandbox", "read-only"),
        *(part for each in settings for part in ("-c", each)),
        ASKED,
        cwd=folder,
        env={**environment, "LOCALKEY": "x"},
    )
    ran_its_shell(model, done)


@pytest.mark.long
@WITH_NODE
def test_claude_code(serving, program, empty):
    model = obliging()
    folder, environment = empty
    more = {
        "ANTHROPIC_BASE_URL": serving(model).url,
        "ANTHROPIC_API_KEY": "x",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    asked = ["-p", ASKED, "--model", "m", "--max-turns", "3", "--allowedTools", "Bash"]
    done = told(program("claude"), *asked, cwd=folder, env={**environment, **more})
    ran_its_shell(model, done)


@pytest.mark.long
@WITH_NODE
def test_opencode(serving, program, empty):
    model = obliging()
    folder, environment = empty
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{serving(model).url}/v1", "apiKey": "x"},
        "models": {"m": {"tool_call": True}},
    }
    settings = {
        "model": "local/m",
        "small_model": "local/m",
        "autoupdate": False,
        "share": "disabled",
        "provider": {"local": provider},
        "permission": {"bash": "allow"},
    }
    (folder / "opencode.json").write_text(json.dumps(settings))
    ran_its_shell(model, told(program("opencode"), "run", ASKED, cwd=folder, env=environment))


@pytest.mark.long
@WITH_NODE
def test_llmprobe(serving, program, empty):
    folder, environment = empty
    # It thinks when it is told to alone: llmprobe knows no signature of Claude's thoughts.
    model = obliging(reasoning_effort="none", custom_get_token_ids=lambda text: [*text.encode()])
    done = told(
        *(program("llmprobe"), serving(model).url, "-m", "m", "--save", "report.json"),
        *("--no-bench", "--no-save", "--reasoning", "default"),
        cwd=folder,
        env=environment,
    )
    report = json.loads((folder / "report.json").read_text())["conformance"]
    wrong = {each["id"]: each["failures"] for each in report["results"] if each["failures"]}
    musts = {n: w for n, w in wrong.items() if any(each["severity"] == "MUST" for each in w)}
    assert musts == {}, done.stdout
    assert report["passed"] == report["total"] >= 200
    surfaces = {each["surface"] for each in report["bySurface"] if each["total"] > 0}
    assert surfaces == {"models", "chat", "responses", "messages", "count-tokens", "completions"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(serving):
    server = serving(obliging())
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    body = json.dumps(asked)
    typed = ("-H", "Content-Type: application/json")
    done = told("curl", "-sN", f"{server.url}/v1/chat/completions", *typed, "-d", body)
    events = [
        json.loads(each[6:]) for each in done.stdout.split("\n\n") if each.startswith("data: {")
    ]
    said = [each["choices"][0]["delta"].get("content") or "" for each in events if each["choices"]]
    assert "".join(said) == "You said: hi"
    assert done.stdout.endswith("data: [DONE]\n\n")
    # As Ollama's documentation has it: without a content type.
    done = told("curl", "-sN", f"{server.url}/api/chat", "-d", body)
    assert "".join(json.loads(each)["message"]["content"] for each in done.stdout.splitlines()) == (
        "You said: hi"
    )


@pytest.mark.long
@WITH_CLIENTS
class TestLlm:
    """Simon Willison's `llm`."""

    @pytest.fixture
    def llm(self, serving, empty):
        folder, environment = empty
        described = {
            "model_id": "served",
            "model_name": "m",
            "api_base": f"{serving(obliging()).url}/v1",
            "supports_tools": True,
            "supports_schema": True,
        }
        settings = json.dumps([described])  # which is YAML, too
        (folder / "extra-openai-models.yaml").write_text(settings)
        environment = {**environment, "LLM_USER_PATH": str(folder)}

        def ask(*arguments):
            done = told(CLIENTS / "llm", "-m", "served", *arguments, cwd=folder, env=environment)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        return ask

    def test_streamed_and_whole(self, llm):
        assert llm("hello") == "You said: hello"
        assert llm("--no-stream", "hello") == "You said: hello"

    def test_a_schema(self, llm):
        assert json.loads(llm("--schema", "city, count int", "x")) == {"city": "Zürich", "count": 4}

    def test_a_tool(self, llm):
        function = 'def look(city: str) -> str:\n    return "sunny in " + city\n'
        assert "The tool says: sunny in Zürich" in llm("--functions", function, "weather?")


LITELLM = """
import json, sys
import litellm

url, told = sys.argv[1], {}
asked = [{"role": "user", "content": "hi"}]
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "look", "parameters": schema}}]

def ask(name, **more):
    whole = litellm.completion(model=name, api_key="x", messages=asked, **more)
    pieces = litellm.completion(model=name, api_key="x", messages=asked, stream=True, **more)
    joined = litellm.stream_chunk_builder([*pieces])
    return [said(each.choices[0].message) for each in (whole, joined)]

def said(message):
    calls = [each.function for each in message.tool_calls or ()]
    return [message.content, [[each.name, json.loads(each.arguments)] for each in calls]]

for name, base in (("openai/m", "/v1"), ("anthropic/m", ""), ("ollama_chat/m", "")):
    told[name] = [ask(name, api_base=url + base), ask(name, api_base=url + base, tools=tools)]
responses = litellm.responses(model="openai/m", api_base=url + "/v1", api_key="x", input="hi")
told["responses"] = responses.output[-1].content[0].text
print(json.dumps(told))
"""


@pytest.mark.long
@pytest.mark.skipif("LITELLM" not in os.environ, reason="LITELLM names no program")
def test_litellm(serving, empty):
    folder, environment = empty
    url = serving(obliging()).url
    python = Path(os.environ["LITELLM"]).with_name("python")
    done = told(python, "-W", "ignore", "-c", LITELLM, url, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    plain, called = ["You said: hi", []], ["Let me look. ", [["look", {"city": "Zürich"}]]]
    heard = json.loads(done.stdout.splitlines()[-1])
    assert heard.pop("responses") == "You said: hi"
    both = [[plain, plain], [called, called]]
    assert heard == {"openai/m": both, "anthropic/m": both, "ollama_chat/m": both}
