"""The page of `chatwright serve`: what people do with it, in Chromium against a real server."""

import asyncio
import base64
import json
import threading

import pytest
from langchain_core.runnables import RunnableLambda
from playwright.sync_api import expect

from chatwright import Capabilities, ChatModel, Finish, Reasoning, ToolCallDelta, Usage, chat_model
from chatwright.run.serve.keys import add_key
from chromium import DESK, NEEDED, PHONE
from run.serve.conftest import Endless, chatty, eventually
from run.serve.paged import answered, axe, browser, button, ended, opened, ready, say, sent

__all__ = ["browser", "opened"]
pytestmark = NEEDED

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOLS = '[{"name": "weather", "parameters": {"type": "object"}}, {"name": "time"}]'
BELOW = """() => {
  const log = document.querySelector("#log");
  return log.scrollHeight - log.scrollTop - log.clientHeight;
}"""
WIDE = """() => {
  const all = document.querySelectorAll("html, main, #log, .turn, .said, .asked, dialog[open]");
  return [...all].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.outerHTML.slice(0, 80));
}"""


class Spy(ChatModel):
    """Answers with the number of the request, and keeps what it was asked."""

    seen: list = []
    replies: list = []

    async def reply(self, request):
        self.seen.append(request)
        reply = self.replies[min(len(self.seen), len(self.replies)) - 1] if self.replies else None
        for each in reply or [f"answer {len(self.seen)}"]:
            if isinstance(each, Exception):
                raise each
            yield each

    def capabilities(self):
        return Capabilities(
            tools=True, tool_choice=True, response_format=True, inputs=frozenset({"image"})
        )


def spy(*replies):
    return Spy(model_name="spy", seen=[], replies=list(replies))


SYSTEM = ("system", "You are a helpful assistant.")


def texts(request):
    """Return what was said, without the system prompt that a conversation begins with."""
    said = [(message.type, message.text) for message in request.messages]
    return said[1:] if said[0] == SYSTEM else said


def settings(page, **fields):
    button(page, "Settings").click()
    for name, value in fields.items():
        page.locator(f"#set-{name}").fill(value)
    page.keyboard.press("Escape")
    page.locator("#settings").wait_for(state="hidden")


def test_the_first_token_shows_before_the_answer_ends(opened, serving):
    go = threading.Event()

    @chat_model
    async def slow(messages):
        yield "first "
        while not go.is_set():
            await asyncio.sleep(0.01)
        yield "last"

    page = opened(serving(slow))
    say(page, "hi")
    answered(page, "first")
    assert page.locator("#send").is_hidden() and page.locator("#stop").is_visible()
    go.set()
    assert ended(page) == "first last"


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_stops_the_source(opened, serving, way):
    endless = Endless()
    page = opened(serving(endless.model))
    say(page, "go")
    answered(page, "word3")
    page.keyboard.press("Escape") if way == "Escape" else button(page, "Stop").click()
    assert endless.closed.wait(20)
    page.get_by_text("Stopped.", exact=True).wait_for()
    assert "word3" in ended(page)
    assert button(page, "Retry").is_visible()


def test_a_conversation_goes_on_with_what_was_said(opened, serving):
    model = spy()
    page = opened(serving(model))
    settings(page, system="Be brief.")
    assert sent(page, "one") == "answer 1"
    page.keyboard.type("two")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lines")
    page.keyboard.press("Enter")
    answered(page, "answer 2")
    assert texts(model.seen[1]) == [
        ("system", "Be brief."),
        ("human", "one"),
        ("ai", "answer 1"),
        ("human", "two\nlines"),
    ]


def test_a_system_prompt_is_there_as_in_chat_and_can_be_taken_away(opened, serving):
    model = spy()
    page = opened(serving(model))
    assert button(page, "Settings").inner_text() == "Settings"
    sent(page, "one")
    settings(page, system="")
    assert button(page, "Settings").inner_text() == "Settings · 1"
    sent(page, "two")
    first, second = ([(each.type, each.text) for each in seen.messages] for seen in model.seen)
    assert first == [SYSTEM, ("human", "one")]
    assert second == [("human", "one"), ("ai", "answer 1"), ("human", "two")]


def test_a_retry_and_an_edit_are_siblings_that_can_be_gone_back_to(opened, serving):
    model = spy()
    page = opened(serving(model))
    sent(page, "one")
    sent(page, "two")
    button(page, "Retry").first.click()
    answered(page, "answer 3")
    assert texts(model.seen[2]) == [("human", "one")]
    assert page.locator(".turn").count() == 1
    assert (
        page.get_by_role("group", name="Versions of the answer").locator("span").inner_text()
        == "2 / 2"
    )
    button(page, "Previous answer").click()
    expect(page.locator(".prose")).to_have_text(["answer 1", "answer 2"])
    button(page, "Edit").last.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("three")
    page.keyboard.press("Enter")
    answered(page, "answer 4")
    ended(page)
    assert texts(model.seen[3]) == [("human", "one"), ("ai", "answer 1"), ("human", "three")]
    button(page, "Previous message").click()
    expect(page.locator(".prose")).to_have_text(["answer 1", "answer 2"])
    page.reload()
    ready(page)
    expect(page.locator(".prose")).to_have_text(["answer 1", "answer 2"])
    button(page, "Next message").click()
    expect(page.locator(".asked .text")).to_have_text(["one", "three"])


def test_an_edit_that_is_given_up_changes_nothing(opened, serving):
    model = spy()
    page = opened(serving(model))
    sent(page, "one")
    button(page, "Edit").click()
    page.keyboard.type("more")
    page.keyboard.press("Escape")
    assert page.locator(".asked .text").inner_text() == "one"
    assert len(model.seen) == 1


def test_parallel_calls_are_answered_by_hand_before_it_goes_on(opened, serving):
    calls = [
        ToolCallDelta(0, "a", "weather", '{"city": "Paris"}'),
        ToolCallDelta(1, "b", "weather", '{"city": "Rome"}'),
    ]
    model = spy([*calls, Usage(1, 2), Finish("tool_calls")], ["warm"])
    page = opened(serving(model))
    settings(page, tools=TOOLS)
    say(page, "weather?")
    form = page.get_by_role("form", name="Calls to answer")
    form.wait_for()
    ended(page)
    assert [json.loads(each) for each in form.locator("pre").all_inner_texts()] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]
    say(page, "go on")
    page.get_by_role("alert").get_by_text("waits for the results").wait_for()
    button(page, "Close the notice").click()
    form.get_by_label("Result of weather, call 1").fill("20 °C")
    button(page, "Send 2 results").click()  # the second one is missing
    assert len(model.seen) == 1
    form.get_by_label("Result of weather, call 2").fill("30 °C")
    button(page, "Send 2 results").click()
    answered(page, "warm")
    asked = model.seen[1].messages[1:]
    assert [message.type for message in asked] == ["human", "ai", "tool", "tool"]
    assert [call["args"] for call in asked[1].tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert [(m.tool_call_id, m.text) for m in asked[2:]] == [("a", "20 °C"), ("b", "30 °C")]
    assert [tool["function"]["name"] for tool in model.seen[1].tools] == ["weather", "time"]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ('{"city": "Rome", "n": 3}', "✓ Matches the schema"),
        ('{"city": 5}', "✗ Does not match the schema"),
        ("Rome", "✗ Does not match the schema"),
    ],
)
def test_an_answer_is_judged_by_its_schema(opened, serving, reply, verdict):
    model = spy([reply])
    page = opened(serving(model))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    settings(page, schema=json.dumps(schema))
    say(page, "where?")
    page.get_by_text(verdict).wait_for()
    assert model.seen[0].response_format["json_schema"]["schema"] == schema
    if reply.startswith("{"):
        assert page.locator(".prose .in-key").first.inner_text() == '"city"'
    if "5" in reply:
        expect(page.locator(".wrong li")).to_have_text(["/city is number, not string"])


def test_what_is_set_is_sent(opened, serving):
    seen = []

    @chat_model
    def model(messages, stop=None, temperature: float = 1.0, seed: int = 0):
        seen.append((list(stop), temperature, seed))
        return "x"

    page = opened(serving(model))
    settings(page, temperature="0.25", seed="7", stop="END\n\\n\\n")
    sent(page, "x")
    assert seen == [(["END", "\n\n"], 0.25, 7)]
    assert button(page, "Settings · 3").is_visible()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temperature", "hot", "temperature has to be a number from 0 to 2"),
        ("max_tokens", "0", "max_tokens has to be a whole number from 1"),
        ("tools", "[{}]", "Tool 1 has no name"),
        ("tools", "{", "The tools is no JSON"),
        ("schema", "3", "The schema has to be an object"),
    ],
)
def test_what_is_set_wrongly_is_told_and_not_sent(opened, serving, name, value, said):
    model = spy()
    page = opened(serving(model))
    settings(page, **{name: value})
    say(page, "x")
    page.get_by_role("alert").get_by_text(said).wait_for()
    assert page.locator("#settings").is_visible()
    assert said in page.locator(f"#note-{name}").inner_text()
    assert model.seen == []


def test_a_parameter_that_a_model_does_not_take_is_told(opened, serving):
    page = opened(serving(chat_model(RunnableLambda(lambda messages: "x"))))
    settings(page, seed="7")
    button(page, "Settings").click()
    page.get_by_text("m takes no seed; it has no effect there").wait_for()


def test_two_models_answer_side_by_side(opened, serving):
    one, two = spy(["from one"]), spy(["from two"])
    page = opened(serving({"one": one, "two": two}))
    page.get_by_label("beside").select_option("two")
    say(page, "hi")
    answered(page, "from one")
    answered(page, "from two")
    ended(page)
    left, right = (each.bounding_box() for each in page.locator(".answer").all())
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    sent(page, "more")
    assert texts(one.seen[1])[1] == ("ai", "from one")
    assert texts(two.seen[1])[1] == ("ai", "from two")
    for answer in page.get_by_role("region", name="Answer of two", exact=True).all():
        button(answer, "Inspect").click()
        answer.get_by_role("tab", name="Timeline").wait_for()


def test_images_go_where_the_model_takes_them(opened, serving):
    model = spy()
    page = opened(serving({"m": model, "blind": chat_model(lambda messages: "x")}))
    file = {"name": "a.png", "mimeType": "image/png", "buffer": PNG}
    page.locator("#attach-file").set_input_files([file])
    page.get_by_role("img", name="Image 1").wait_for()
    assert sent(page, "what?") == "answer 1"
    blocks = model.seen[0].messages[-1].content
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert blocks[0] == {"type": "text", "text": "what?"}
    assert url in json.dumps(blocks[1]) or base64.b64encode(PNG).decode() in json.dumps(blocks[1])
    assert page.locator(".asked img").count() == 1
    page.locator("#attach-file").set_input_files(
        [{**file, "name": "a.svg", "mimeType": "image/svg+xml"}]
    )
    page.get_by_text("a.svg is no PNG, JPEG, GIF or WebP").wait_for()
    page.locator("#model").select_option("blind")
    assert button(page, "Add image").is_hidden()
    page.locator("#attach-file").set_input_files([file])
    page.get_by_text("blind takes no images").wait_for()


GIVE = """([base64, kind]) => {
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "a.png", {type: "image/png"}));
  const told = {bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data};
  const event = kind === "paste" ? new ClipboardEvent(kind, told) : new DragEvent(kind, told);
  document.getElementById("prompt").dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_an_image_is_pasted_dropped_and_taken_away(opened, serving, way):
    page = opened(serving(spy()))
    page.evaluate(GIVE, [base64.b64encode(PNG).decode(), way])
    button(page, "Remove image 1").click()
    assert page.locator("#pictures img").count() == 0
    assert focused(page) == "Message"


def test_the_theme_can_be_set(opened, serving):
    page = opened(serving(spy()), color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Theme").select_option("dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    ready(page)
    assert page.evaluate(ground) == dark


def test_reasoning_is_folded_and_an_error_can_be_tried_again(opened, serving):
    model = spy([Reasoning("Hm."), "Half", RuntimeError("broken")], ["whole"])
    page = opened(serving(model))
    say(page, "hi")
    error = page.locator(".error")
    error.wait_for()
    assert "(5" in error.inner_text()
    assert page.get_by_text("Hm.").is_hidden()
    page.get_by_text("Reasoning").click()
    assert page.get_by_text("Hm.").is_visible()
    button(page, "Try again").click()
    answered(page, "whole")
    assert page.get_by_text("2 / 2").is_visible()


def test_a_server_that_goes_away_is_told(opened, serving):
    page = opened(serving(), fails=True)
    ready(page)
    page.route("**/inspector/answer", lambda route: route.abort())
    say(page, "hi")
    page.locator(".error", has_text="The server can't be reached, or went away").wait_for()


def test_a_key_is_asked_for_and_kept_for_the_tab(opened, serving, tmp_path):
    key = add_key(tmp_path / "keys.json", "ann")
    page = opened(serving(spy(), api_keys=tmp_path / "keys.json"), fails=True)
    page.get_by_label("Key", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_label("Key", exact=True).fill(key)
    button(page, "Use it").click()
    ready(page)
    assert sent(page, "hi") == "answer 1"
    page.reload()
    ready(page)
    assert page.locator("#key").is_hidden()
    assert key not in page.evaluate("JSON.stringify(localStorage)")


def test_a_reload_keeps_the_conversation_and_its_inspector(opened, serving):
    page = opened(serving(chatty()))
    text = sent(page, "hello")
    page.reload()
    ready(page)
    assert page.locator(".answer .prose").inner_text() == text
    assert page.locator(".asked .text").inner_text() == "hello"
    assert "7 → 5 tokens" in page.locator(".facts").inner_text()
    button(page, "Inspect").click()
    page.get_by_role("tab", name="Timeline").wait_for()


def test_what_was_being_written_when_the_page_was_closed_can_be_tried_again(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model))
    say(page, "go")
    answered(page, "word2")
    page.reload()
    ready(page)
    page.get_by_text("Stopped.", exact=True).wait_for()
    assert endless.closed.wait(20)
    assert button(page, "Retry").is_visible()


def test_conversations_are_listed_named_and_deleted(opened, serving):
    page = opened(serving(spy()))
    sent(page, "first one")
    button(page, "New conversation").click()
    sent(page, "second one")
    titles = page.locator("#talks .title")
    expect(titles).to_have_text(["second one", "first one"])
    button(page, "Rename second one").click()
    page.keyboard.type("Rivers")
    page.keyboard.press("Enter")
    page.locator("#talks .title", has_text="Rivers").wait_for()
    page.locator("#talks .title", has_text="first one").click()
    page.locator(".asked .text", has_text="first one").wait_for()
    button(page, "Delete first one").click()
    button(page.locator("#confirm"), "Cancel").click()
    assert titles.count() == 2
    button(page, "Delete first one").click()
    button(page.locator("#confirm"), "Delete").click()
    page.locator("#talks .title", has_text="first one").wait_for(state="detached")
    expect(titles).to_have_text(["Rivers"])
    assert page.locator(".turn").count() == 0


def exported(page, name="Export"):
    with page.expect_download() as download:
        button(page, name, exact=True).click()
    return json.loads(download.value.path().read_text())


def test_what_is_exported_can_be_imported(opened, serving):
    served = serving(spy([Reasoning("Hm."), "**bold**", Usage(3, 4)]))
    page = opened(served)
    sent(page, "one")
    button(page, "Retry").click()
    page.get_by_text("2 / 2").wait_for()
    ended(page)
    whole = exported(page)
    other = opened(served)
    file = {"name": "x.json", "mimeType": "application/json", "buffer": json.dumps(whole).encode()}
    other.locator("#import-file").set_input_files([file])
    other.get_by_text("1 conversation imported").wait_for()
    assert other.locator(".prose strong").inner_text() == "bold"
    assert other.get_by_text("2 / 2").is_visible()
    again = exported(other, "Export all")
    for each in (whole, again):
        each["conversations"][0].pop("id")
    assert again == whole


def bad(change):
    def changed(whole):
        change(whole["conversations"][0])
        return json.dumps(whole)

    return changed


def turn(talk):
    return next(iter(talk["turns"].values()))


def test_what_another_tab_has_done_is_not_overwritten(opened, serving):
    page = opened(serving(spy()))
    sent(page, "one")
    other = page.context.new_page()
    other.goto(page.url)
    ready(other)
    sent(other, "theirs")
    sent(page, "mine")
    page.locator("#talks .title", has_text="one (copy)").wait_for()
    other.reload()
    ready(other)
    expect(other.locator(".asked .text")).to_have_text(["one", "theirs"])
    expect(other.locator("#talks .title")).to_have_text(["one (copy)", "one"])


def test_a_timeline_that_is_none_is_told(opened, serving):
    page = opened(serving(spy()))
    whole = exported_of(1)
    whole["conversations"][0]["answers"]["a0"]["steps"][0]["timeline"] = {"version": 0}
    file = {"name": "x.json", "mimeType": "application/json", "buffer": json.dumps(whole).encode()}
    page.locator("#import-file").set_input_files([file])
    button(page, "Inspect").click()
    page.get_by_role("alert").get_by_text("What was kept of this answer can't be shown").wait_for()


def test_a_model_can_be_checked(opened, serving):
    async def check():
        yield {"type": "rule", "rule": "B1"}
        yield {"type": "report", "passed": 1, "tried": 1, "summary": "all hold"}

    page = opened(serving(spy(), checks={"m": check}))
    button(page, "Check").click()
    button(page, "Run the check").click()
    page.locator("#checker").get_by_text("all hold").wait_for()
    assert axe(page) == []
    button(page, "Close the check").click()
    assert page.locator("#checker").is_hidden()


def test_without_a_model_nothing_is_sent_and_that_is_told(opened, serving):
    page = opened(
        serving(spy()), fails=True, init="fetch = () => Promise.reject(new TypeError('gone'))"
    )
    ready(page)
    page.get_by_text("The models can't be listed: gone").wait_for()
    say(page, "hi")
    page.get_by_text("There is no model to ask").wait_for()
    assert page.locator("#prompt").input_value() == "hi"


BROKEN = {
    "no JSON": (lambda whole: "{", "is no JSON"),
    "something else": (lambda whole: '{"a": 1}', "is no export"),
    "another version": (lambda whole: json.dumps({**whole, "version": 9}), "has version 9"),
    "no list": (lambda whole: json.dumps({**whole, "conversations": 3}), "has to be a list"),
    "a field that is not known": (bad(lambda talk: talk.update(x=1)), "is not known: x"),
    "a wrong type": (bad(lambda talk: talk.update(title={})), "title has to be a text"),
    "a page as an image": (
        bad(lambda talk: turn(talk)["images"].append("https://example.com/a.png")),
        "images[0] is no PNG",
    ),
    "a program as an image": (
        bad(lambda talk: turn(talk)["images"].append("data:image/svg+xml;base64,AA==")),
        "images[0] is no PNG",
    ),
    "the prototype": (
        lambda whole: json.dumps(whole).replace('"turns": {', '"turns": {"__proto__": {"a": 1}, '),
        "is no id",
    ),
    "a turn that is not there": (
        bad(lambda talk: talk["first"]["ids"].append("nowhere")),
        "has no turn",
    ),
    "a turn that follows itself": (
        bad(lambda talk: turn(talk)["next"].update(a={"ids": [turn(talk)["id"]], "chosen": 0})),
        "twice",
    ),
    "an answer that is not there": (bad(lambda talk: talk["answers"].clear()), "has no answer"),
    "a choice of nothing": (bad(lambda talk: talk["first"].update(chosen=7)), "has a choice"),
}


def test_a_broken_file_is_refused_and_changes_nothing(opened, serving):
    page = opened(serving(spy()))
    sent(page, "one")
    whole = exported(page)
    for name, (make, said) in BROKEN.items():
        text = make(json.loads(json.dumps(whole)))
        file = {"name": "x.json", "mimeType": "application/json", "buffer": text.encode()}
        page.locator("#import-file").set_input_files([file])
        notice = page.get_by_role("alert")
        notice.wait_for()
        assert "Nothing was imported." in notice.inner_text(), name
        assert said in notice.inner_text(), name
        button(page, "Close the notice").click()
    expect(page.locator("#talks .title")).to_have_text(["one"])
    assert exported(page, "Export all") == whole


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_too_wide_and_nobody_is_kept_out(opened, serving, viewport, scheme):
    text = (
        "# Heading\n\n`"
        + "x" * 300
        + "`\n\n"
        + "y" * 400
        + "\n\n```python\n# "
        + "z" * 300
        + "\n```\n\n"
        "|"
        + "cell|" * 30
        + "\n|"
        + "-|" * 30
        + "\n\n$$\n"
        + "a+" * 200
        + "b\n$$\n\n> quote\n\n- [x] task\n"
    )
    model = spy(
        [Reasoning("Hm. " * 50), text],
        [ToolCallDelta(0, "a", "weather", '{"x": "%s"}' % ("w" * 200))],
    )
    page = opened(serving({"a" * 60: model, "b": spy()}), viewport=viewport, color_scheme=scheme)
    assert axe(page) == []
    sent(page, "u" * 300)
    page.get_by_text("Reasoning").first.click()
    assert page.evaluate(WIDE) == []
    page.locator("#log").evaluate("e => e.scrollTo(0, 0)")
    assert axe(page) == []
    button(page, "Inspect").click()
    page.get_by_role("tab", name="Timeline").wait_for()
    assert page.evaluate(WIDE) == []
    settings(page, tools=TOOLS)
    say(page, "weather?")
    page.get_by_role("form", name="Calls to answer").wait_for()
    ended(page)
    assert page.evaluate(WIDE) == []
    assert axe(page) == []
    button(page, "Settings").click()
    assert axe(page) == []
    assert page.evaluate(WIDE) == []


def focused(page):
    return page.evaluate(
        "(({activeElement: e}) => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent"
        " || e.textContent || '').trim().split('\\n')[0])(document)"
    )


def test_the_keyboard_alone_suffices(opened, serving):
    model = spy()
    page = opened(serving(model))
    assert focused(page) == "Message"
    page.keyboard.type("hi")
    page.keyboard.press("Enter")
    answered(page, "answer 1")
    ended(page)
    assert focused(page) == "Message"
    page.locator(".skip").focus()
    assert focused(page) == "Skip to the prompt"
    seen = []
    while (name := focused(page)) != "Send" and len(seen) < 60:
        seen.append(name)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in {"none", "hidden"}, name
        page.keyboard.press("Tab")
    for name in (
        "New conversation",
        "hi",
        "Rename hi",
        "Delete hi",
        "Export",
        "Settings",
        "Edit",
        "Copy",
        "Inspect",
        "Retry",
    ):
        assert name in seen, name
    page.locator(".skip").focus()
    while focused(page) != "Retry":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answered(page, "answer 2")


def test_an_answer_is_announced_once_at_its_end(opened, serving):
    watch = """
    addEventListener("DOMContentLoaded", () => {
      window.said = [];
      const status = document.getElementById("status");
      new MutationObserver(() => said.push(status.textContent)).observe(status, {childList: true});
    });"""
    page = opened(serving(spy([f"w{n} " for n in range(50)])), init=watch)
    sent(page, "hi")
    eventually(lambda: page.evaluate("said.some(Boolean)"))
    assert [each for each in page.evaluate("said") if each] == [
        "m: " + " ".join(f"w{n}" for n in range(50)) + " "
    ]
    assert page.locator(".answer [aria-live], .answer [role=status]").count() == 0


def test_300_messages_and_10_000_tokens_stay_smooth(opened, serving):
    @chat_model
    async def long(messages):
        for n in range(10_000):
            yield "\n\n" if n % 50 == 49 else f"word{n} "
            if n % 100 == 0:
                await asyncio.sleep(0)

    page = opened(serving(long))
    talk = exported_of(150)
    file = {"name": "x.json", "mimeType": "application/json", "buffer": json.dumps(talk).encode()}
    page.locator("#import-file").set_input_files([file])
    page.get_by_text("1 conversation imported").wait_for()
    assert page.locator(".turn").count() == 150
    say(page, "long")
    answered(page, "word9998")
    ended(page)
    assert page.locator(".answer").last.locator("p").count() == 200
    assert page.evaluate(BELOW) < 2
    # What is off the screen is not laid out.
    assert (
        page.locator(".turn").first.evaluate("e => getComputedStyle(e).contentVisibility") == "auto"
    )
    # A frame reads no more than the last block: its work does not grow with the conversation.
    assert page.locator(".answer").last.locator(".hint").count() == 0


def test_a_reader_who_has_scrolled_up_stays_there(opened, serving):
    go = threading.Event()

    @chat_model
    async def slow(messages):
        yield "line\n\n" * 100
        while not go.is_set():
            await asyncio.sleep(0.01)
        yield "line\n\n" * 100 + "the end"

    page = opened(serving(slow))
    say(page, "hi")
    eventually(lambda: page.evaluate("document.querySelectorAll('.prose p').length === 100"))
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -500)
    eventually(lambda: page.evaluate(BELOW) > 300)
    top = page.evaluate("document.querySelector('#log').scrollTop")
    go.set()
    eventually(lambda: page.evaluate("document.querySelectorAll('.prose p').length === 201"))
    ended(page)
    assert page.evaluate("document.querySelector('#log').scrollTop") == top


def exported_of(count):
    """Return a file with a conversation of so many turns."""
    defaults = dict.fromkeys(
        ["system", "temperature", "top_p", "max_tokens", "seed", "stop", "tools", "schema"], ""
    )
    step = {
        "role": "assistant",
        "text": "Some **text**, and `code`.\n\n- a\n- b\n",
        "reasoning": "",
        "calls": [],
        "usage": None,
        "usd": None,
        "first": 1,
        "ms": 2,
        "error": "",
        "stopped": False,
        "schema": "",
        "timeline": None,
    }
    turns, answers = {}, {}
    for n in range(count):
        after = {f"a{n}": {"ids": [f"t{n + 1}"], "chosen": 0}} if n + 1 < count else {}
        turns[f"t{n}"] = {
            "id": f"t{n}",
            "parent": f"t{n - 1}" if n else "",
            "after": [f"a{n - 1}"] if n else [],
            "text": f"question {n}",
            "images": [],
            "next": after,
            "lanes": [{"ids": [f"a{n}"], "chosen": 0}],
        }
        answers[f"a{n}"] = {"id": f"a{n}", "model": "m", "steps": [step]}
    talk = {
        "id": "x",
        "title": "long",
        "updated": 1,
        "turns": turns,
        "answers": answers,
        "settings": {**defaults, "choice": "auto", "models": ["m"]},
        "first": {"ids": ["t0"], "chosen": 0},
    }
    return {"format": "chatwright.conversations", "version": 1, "conversations": [talk]}
