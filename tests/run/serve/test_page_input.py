"""The page of `chatwright serve`: clicks, keys, dialogs, and answers that are left."""

import asyncio
import threading

import pytest
from playwright.sync_api import expect

from chatwright import ToolCallDelta, chat_model
from chatwright.run.serve.keys import add_key
from chromium import NEEDED
from run.serve.conftest import Endless, eventually
from run.serve.paged import answered, axe, browser, button, ended, opened, ready, say, sent
from run.serve.test_page import settings, spy

__all__ = ["browser", "opened"]
pytestmark = NEEDED


def described(element, text):
    """Wait until a screen reader is told a text of an element, besides its name."""
    expect(element).to_have_accessible_description(text, timeout=60_000)


# Clicks are as far apart as the test says, however busy the machine is.
CLOCK = "Object.defineProperty(Event.prototype, 'timeStamp', {get: () => window.now ?? 0});"


def test_a_double_click_on_send_does_not_stop_the_answer(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model), init=CLOCK)
    page.locator("#prompt").fill("go")
    button(page, "Send").dblclick()
    answered(page, "word3")
    assert page.locator("#stop").is_visible()
    page.evaluate("window.now = 401")
    button(page, "Stop").click()
    assert endless.closed.wait(20)
    assert page.locator(".turn").count() == 1


def test_keys_stop_an_answer_at_once(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model), init=CLOCK)
    page.locator("#prompt").fill("go")
    button(page, "Send").click()
    answered(page, "word3")
    button(page, "Stop").press("Enter")
    assert endless.closed.wait(20)


def test_a_double_click_on_stop_does_not_send_what_is_typed_meanwhile(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model), init=CLOCK)
    say(page, "go")
    answered(page, "word3")
    page.locator("#prompt").fill("not yet")
    button(page, "Stop").click()
    button(page, "Send").click()
    assert page.locator("#prompt").input_value() == "not yet"
    assert page.locator(".turn").count() == 1
    page.evaluate("window.now = 401")
    button(page, "Send").click()
    page.locator(".turn").nth(1).wait_for()
    page.keyboard.press("Escape")
    ended(page)


# An input method's key, as Safari tells it: after the composition's end.
COMPOSED = """(field, key) => field.dispatchEvent(new KeyboardEvent("keydown",
  {key, code: key, keyCode: 229, bubbles: true, cancelable: true}))"""


def composed(page, field, key):
    """Press a key that an input method takes, in both ways in which browsers tell of it."""
    field.evaluate(COMPOSED, key)
    client = page.context.new_cdp_session(page)
    field.focus()
    client.send(
        "Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    )
    page.keyboard.press(key)
    client.send("Input.imeSetComposition", {"text": "", "selectionStart": 0, "selectionEnd": 0})
    client.detach()


def test_the_enter_of_an_input_method_sends_nothing(opened, serving):
    model = spy()
    page = opened(serving(model))
    field = page.locator("#prompt")
    field.fill("にほん")
    composed(page, field, "Enter")
    assert page.locator(".turn").count() == 0
    field.fill("日本")
    field.press("Enter")
    answered(page, "answer 1")
    ended(page)
    assert model.seen[0].messages[-1].text == "日本"


@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_the_keys_of_an_input_method_end_no_edit(opened, serving, key):
    model = spy()
    page = opened(serving(model))
    sent(page, "one")
    button(page, "Edit").click()
    composed(page, page.get_by_role("textbox", name="Edit the message"), key)
    assert page.get_by_role("form", name="Edit the message").is_visible()
    button(page, "Cancel").click()
    button(page, "Rename one").click()
    name = page.get_by_label("Name of the conversation")
    composed(page, name, key)
    assert name.is_visible()
    name.fill("日本")
    name.press("Enter")
    page.locator("#talks .title", has_text="日本").wait_for()
    assert len(model.seen) == 1


def test_the_escape_of_an_input_method_stops_no_answer(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model))
    say(page, "go")
    answered(page, "word3")
    composed(page, page.locator("#prompt"), "Escape")
    count = endless.count
    eventually(lambda: endless.count > count + 3)
    page.keyboard.press("Escape")
    assert endless.closed.wait(20)


def test_a_key_that_is_refused_is_told_and_can_be_corrected(opened, serving, tmp_path):
    key = add_key(tmp_path / "keys.json", "ann")
    page = opened(serving(spy(), api_keys=tmp_path / "keys.json"), fails=True)
    field = page.get_by_label("Key", exact=True)
    field.wait_for()
    assert field.get_attribute("aria-invalid") == "false"
    assert page.locator("#key").get_by_role("alert").inner_text() == ""
    page.keyboard.press("Enter")  # no key is none
    assert page.locator("#key").is_visible()
    field.fill("wrong")
    page.keyboard.press("Enter")
    page.locator("#key").get_by_role("alert").get_by_text("The server refused this key").wait_for()
    described(
        field,
        "The server refused this key. It is kept until this tab is closed. "
        "chatwright serve keys add NAME makes one.",
    )
    assert field.get_attribute("aria-invalid") == "true"
    assert field.input_value() == "wrong"
    assert axe(page) == []
    page.keyboard.insert_text(key)  # in place of what was selected
    page.keyboard.press("Enter")
    ready(page)
    assert sent(page, "hi") == "answer 1"


def test_two_models_that_are_refused_ask_for_a_key_once(opened, serving, tmp_path):
    key = add_key(tmp_path / "keys.json", "ann")
    served = serving({"a": spy(), "b": spy()}, api_keys=tmp_path / "keys.json")
    page = opened(served, fails=True)
    field = page.get_by_label("Key", exact=True)
    field.fill(key)
    page.keyboard.press("Enter")
    ready(page)
    page.get_by_label("beside").select_option("b")
    page.evaluate("sessionStorage.setItem('chatwright.key', 'old')")
    say(page, "hi")
    page.locator("#key").get_by_role("alert").get_by_text("The server refused this key").wait_for()
    field.fill(key)
    page.keyboard.press("Enter")
    ended(page)
    assert page.locator(".prose").all_inner_texts() == ["answer 1", "answer 1"]


def test_the_inspectors_of_one_answer_have_names_of_their_own(opened, serving):
    model = spy([ToolCallDelta(0, "a", "weather", "{}")], ["warm"])
    page = opened(serving(model))
    settings(page, tools='[{"name": "weather", "parameters": {"type": "object"}}]')
    say(page, "weather?")
    form = page.get_by_role("form", name="Calls to answer")
    form.get_by_label("Result of weather").fill("20 °C")
    ended(page)
    assert page.get_by_role("button", name="Inspect", exact=True).count() == 1
    button(page, "Send the result").click()
    answered(page, "warm")
    ended(page)
    for _ in range(2):
        for name in ("Inspect request 1", "Inspect request 2"):
            assert page.get_by_role("button", name=name, exact=True).count() == 1, name
        page.reload()
        ready(page)


def test_closing_the_check_ends_it(opened, serving):
    closed = threading.Event()

    async def check():
        try:
            yield {"type": "rule", "rule": "E4"}
            await asyncio.sleep(600)
        finally:
            closed.set()

    page = opened(serving(spy(), checks={"m": check}))
    button(page, "Check").click()
    button(page, "Run the check").click()
    page.get_by_text("Trying E4").wait_for()
    page.keyboard.press("Escape")
    assert closed.wait(20)
    button(page, "Check").click()
    page.locator("#checker").get_by_text("Stopped.").wait_for()
    assert button(page, "Run it again").is_visible()


def gated():
    """Return a model that answers in two parts, and what lets it say the second one."""
    gate = threading.Event()

    @chat_model
    async def model(messages):
        asked = messages[-1].text
        yield f"{asked}: first "
        while asked != "quick" and not gate.is_set():
            await asyncio.sleep(0.01)
        yield "last"

    return model, gate


def entry(page, title):
    return page.locator("#talks .title", has_text=title)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_goes_on_while_another_conversation_is_shown(opened, serving, when):
    model, gate = gated()
    page = opened(serving(model))
    say(page, "slow")
    answered(page, "slow: first")
    button(page, "New conversation").click()
    described(entry(page, "slow"), "is answering")
    assert page.locator("#send").is_visible() and page.locator(".turn").count() == 0
    assert axe(page) == []
    assert sent(page, "quick") == "quick: first last"
    described(entry(page, "quick"), "")
    if when == "before":
        entry(page, "slow").click()
        answered(page, "slow: first")
        assert page.locator("#stop").is_visible()
        assert page.locator(".answer").count() == 1
    gate.set()
    described(entry(page, "slow"), "")
    if when == "after":
        entry(page, "slow").click()
    answered(page, "slow: first last")
    assert ended(page) == "slow: first last"
    assert page.locator(".asked .text").all_inner_texts() == ["slow"]
    button(page, "Inspect").click()
    page.get_by_role("tab", name="Timeline").wait_for()
    page.reload()
    ready(page)
    assert page.locator(".prose").all_inner_texts() == ["slow: first last"]
    entry(page, "quick").click()
    answered(page, "quick: first last")
    assert page.get_by_text("Stopped.", exact=True).count() == 0


def test_stop_and_escape_are_for_the_conversation_that_is_shown(opened, serving):
    model, gate = gated()
    page = opened(serving(model))
    say(page, "one")
    answered(page, "one: first")
    button(page, "New conversation").click()
    say(page, "two")
    answered(page, "two: first")
    page.keyboard.press("Escape")
    page.get_by_text("Stopped.", exact=True).wait_for()
    described(entry(page, "one"), "is answering")
    gate.set()
    described(entry(page, "one"), "")
    entry(page, "one").click()
    answered(page, "one: first last")


def test_a_conversation_that_answers_can_be_renamed_and_deleted_from_elsewhere(opened, serving):
    endless = Endless()
    page = opened(serving(endless.model))
    say(page, "go")
    answered(page, "word3")
    button(page, "New conversation").click()
    button(page, "Rename go").click()
    page.keyboard.type("Rivers")
    page.keyboard.press("Enter")
    described(entry(page, "Rivers"), "is answering")
    entry(page, "Rivers").click()
    answered(page, "word4")
    button(page, "New conversation").click()
    button(page, "Delete Rivers").click()
    button(page.locator("#confirm"), "Delete").click()
    assert endless.closed.wait(20)
    entry(page, "Rivers").wait_for(state="detached")
    page.reload()
    ready(page)
    assert page.locator("#talks .title").count() == 0


def test_what_answers_is_listed_where_the_browser_keeps_nothing(opened, serving):
    model, gate = gated()
    page = opened(serving(model), init="indexedDB.open = () => { throw new Error('no') };")
    say(page, "slow")
    answered(page, "slow: first")
    button(page, "New conversation").click()
    entry(page, "slow").click()
    answered(page, "slow: first")
    gate.set()
    assert ended(page) == "slow: first last"
