"""What a model says, on the page: Markdown, formulas, code, schemas; and what is hostile."""

import json
import random

import jsonschema
import pytest

from chatwright import chat_model
from chromium import NEEDED
from run.serve.conftest import eventually
from run.serve.paged import answered, browser, button, ended, opened, say, sent

__all__ = ["browser", "opened"]
pytestmark = NEEDED

DOCUMENT = r"""# One
Text with *em*, **strong**, ~~gone~~, `code`, snake_case_name and a [link](https://example.com "t").

1. first

   ```python
   def f(x):
       return x
   ```
2. second
   - inner
   - [x] done

> quote
> goes on

| a | b |
|:--|--:|
| 1 | **2** |

Inline $x^2$ and \(y\), not $5 or $6.

$$
a = b

c
$$

$$
\frac{1}{2}
- 1
$$

```
open <b> &amp;
"""
NOLINK = '<p dir="auto"><span class="nolink" title="'
WRITE = """async ([text, cuts]) => {
  const { Stream } = await import("/page/stream.js");
  const made = async (parts) => {
    const box = document.body.appendChild(document.createElement("div"));
    box.hidden = true;
    const stream = new Stream(box);
    for (const part of parts) {
      stream.write(part);
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
    }
    await stream.end();
    return box;
  };
  const parts = [];
  let at = 0;
  for (const cut of [...cuts, text.length]) { parts.push(text.slice(at, cut)); at = cut; }
  window.boxes = [await made([text]), await made(parts)];
}"""
HTML = "boxes.map((box) => box.innerHTML)"


@pytest.fixture
def page(opened, serving):
    return opened(serving(chat_model(lambda messages: "x")))


def shown(page, text, cuts=()):
    """Return the HTML of a text that is written at once, and of one that is cut."""
    page.evaluate(WRITE, [text, list(cuts)])
    eventually(lambda: len({*page.evaluate(HTML)}) == 1)
    return page.evaluate(HTML)[0]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_streamed_looks_like_what_comes_at_once(page, seed):
    cuts = sorted(random.Random(seed).sample(range(1, len(DOCUMENT)), 60))
    html = shown(page, DOCUMENT, cuts)
    assert html.count("<math") == 3
    assert "h-keyword" in html and "<del>gone</del>" in html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("snake_case_name", '<p dir="auto">snake_case_name</p>'),
        ("see [1]", '<p dir="auto">see [1]</p>'),
        ("a &lt;b&gt; &#228; &nope;", '<p dir="auto">a &lt;b&gt; ä &amp;nope;</p>'),
        ("a<br>b", '<p dir="auto">a<br>b</p>'),
        ("7. x", '<ol start="7"><li dir="auto"><span>x</span></li></ol>'),
        ("# a", '<h3 dir="auto">a</h3>'),
        ("costs $5 and $10, $HOME/$USER", '<p dir="auto">costs $5 and $10, $HOME/$USER</p>'),
        ("he has $5 and she 6$, so", '<p dir="auto">he has $5 and she 6$, so</p>'),
        ("`$x$`", '<p dir="auto"><code>$x$</code></p>'),
        ("[x](javascript:a())", f'{NOLINK}javascript:a()">x</span></p>'),
        ("[x](/page)", f'{NOLINK}/page">x</span></p>'),
        ("[x](&#106;avascript:a)", f'{NOLINK}&amp;#106;avascript:a">x</span></p>'),
    ],
)  # fmt: skip
def test_markdown(page, markdown, html):
    assert shown(page, markdown) == html


@pytest.mark.parametrize(
    "math", ["$$a$$", "\\[a\\]", "$$\na\n$$", "\\(a\\)", "$a$", "$2$", "\\[\n- a\n\\]"]
)
def test_formulas(page, math):
    page.evaluate(WRITE, [f"x\n\n{math}\n\ny", []])
    eventually(lambda: "<math" in page.evaluate(HTML)[0])
    assert ('class="math display"' in page.evaluate(HTML)[0]) == ("$$" in math or "[" in math)


def test_a_formula_that_is_none_keeps_its_source(page):
    html = shown(page, r"$$\nope{$$ and $$\href{javascript:a}{b}$$")
    eventually(lambda: page.evaluate("document.querySelectorAll('.unset').length") >= 2)
    assert "nope{" in html and page.locator("a[href^=javascript]").count() == 0


def test_links_go_to_the_web_without_telling_whence(page):
    page.evaluate(
        WRITE, ["[a](https://example.com) ![b](https://example.com/b.png) <mailto:a@b.c>", []]
    )
    links = page.evaluate(
        "[...boxes[0].querySelectorAll('a')].map((a) => [a.href, a.rel, a.target])"
    )
    assert [href for href, _, _ in links] == [
        "https://example.com/",
        "https://example.com/b.png",
        "mailto:a@b.c",
    ]
    assert {(rel, target) for _, rel, target in links} == {
        ("noopener noreferrer nofollow", "_blank")
    }
    assert page.evaluate("boxes[0].querySelectorAll('img').length") == 0


HOSTILE = r"""
<script>hacked = 1</script><img src=x onerror="hacked = 1"><svg onload="hacked = 1"><iframe srcdoc="<script>parent.hacked=1</script>">
<a href="javascript:hacked=1">click</a> [click](javascript:hacked=1) [click](JaVaScRiPt:hacked=1) [click](data:text/html,<script>hacked=1</script>)
[click](vbscript:x) ![x](javascript:hacked=1) ![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImhhY2tlZD0xIi8+) <javascript:hacked=1>
[x]: javascript:hacked=1
[x] [__proto__] [constructor] `<img src=x onerror=hacked=1>` **<img src=x onerror=hacked=1>**

<style>* { display: none }</style>

```html
<img src=x onerror=hacked=1>
```
$$\href{javascript:hacked=1}{x} \includegraphics{https://example.com/x.png} \htmlData{a=b}{c}$$

| <img src=x onerror=hacked=1> |
|--|
| [c](javascript:hacked=1) |
"""  # noqa: E501


def test_a_hostile_answer_runs_nothing(opened, serving):
    page = opened(serving(chat_model(lambda messages: HOSTILE)))
    sent(page, HOSTILE)
    answer = page.locator(".answer .prose")
    assert "onerror" in answer.inner_text()
    assert answer.locator("script, img, svg, iframe, style, [onerror], [onload]").count() == 0
    for link in answer.locator("a").all():
        assert link.get_attribute("href").startswith(("http:", "https:", "mailto:"))
    for link in answer.locator(".nolink").all():
        link.click()
    button(page, "Inspect").click()
    page.get_by_role("tab", name="Timeline").wait_for()
    page.reload()
    answered(page, "onerror")
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "word " * 200_000,
        "> " * 50_000,
        "[" * 100_000,
        "*a" * 100_000,
        "- " * 50_000,
        "```\n" + "x" * 1_000_000,
        "$$" * 50_000,
        "\\[" * 50_000,
        "|a" * 50_000 + "\n" + "|-" * 50_000,
        "# a\n" * 100_000,
        "\n".join(" " * n + "- a" for n in range(400)),
    ],
    ids=range(12),
)
def test_an_endless_answer_does_not_freeze_the_page(opened, serving, text):
    page = opened(serving(chat_model(lambda messages: text)))
    say(page, "x")
    page.locator(".turn").wait_for()
    ended(page)
    button(page, "New conversation").click()
    page.locator("#empty").wait_for()


def test_a_megabyte_is_shown_whole(opened, serving):
    text = "line of text\n" * 80_000
    page = opened(serving(chat_model(lambda messages: "start\n\n" + text + "the end")))
    say(page, "x")
    answered(page, "the end")
    ended(page)
    words = page.evaluate(
        "document.querySelector('.prose').textContent.match(/line of text/g).length"
    )
    assert words == 80_000
    assert page.get_by_text("From here on this is plain text").is_visible()


SCHEMAS = [
    True,
    False,
    {"type": ["string", "null"], "minLength": 2, "maxLength": 3},
    {"type": "integer", "minimum": 1, "exclusiveMaximum": 5, "multipleOf": 2},
    {"enum": [1, "a", None, {"x": [1]}]},
    {"const": [1, {"a": 2}]},
    {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
    {"properties": {"a": True}, "additionalProperties": False, "patternProperties": {"^x": {}}},
    {"additionalProperties": {"type": "string"}, "minProperties": 1, "maxProperties": 2},
    {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 1,
        "maxItems": 2,
        "uniqueItems": True,
    },
    {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"contains": {"const": 1}, "minContains": 2, "maxContains": 2},
    {"anyOf": [{"type": "string"}, {"minimum": 3}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "string"}}}]},
    {"not": {"type": "string"}},
    {"if": {"type": "integer"}, "then": {"minimum": 2}, "else": {"type": "string"}},
    {"dependentRequired": {"a": ["x"]}, "propertyNames": {"maxLength": 1}},
    {"pattern": "^a+$"},
    {
        "$ref": "#/$defs/a~1b",
        "$defs": {"a/b": {"type": "object", "properties": {"a": {"$ref": "#"}}}},
    },
]
VALUES = [
    *(None, True, False, 0, 1, 2, 2.5, 3, 4, 6, 1.0, "", "a", "aa", "ab", "aaaa", "😀😀"),
    *([], [1], [1, 1], [1, "a"], ["a", 1], [1, 2, 3], [1, {"a": 2}], [[]], [1.5]),
    *({}, {"a": 1}, {"a": "s"}, {"b": 1}, {"x": [1]}, {"a": 1, "x": 2}, {"xx": 1}, {"a": {"a": 1}}),
    *({"a": "s", "b": "t"}, {"a": "s", "b": "t", "c": "u"}, {"a": {"a": {}}}, {"toString": 1}),
]


def test_verdicts_are_those_of_the_reference(page):
    judge = """async (pairs) => {
      const { judged } = await import("/page/schema.js");
      return pairs.map(([schema, value]) => judged(JSON.stringify(value), schema));
    }"""
    pairs = [(schema, value) for schema in SCHEMAS for value in VALUES]
    found = page.evaluate(judge, pairs)
    for (schema, value), verdict in zip(pairs, found, strict=True):
        expected = jsonschema.Draft202012Validator(schema).is_valid(value)
        assert "unjudged" not in verdict, (schema, value, verdict)
        assert (not verdict["errors"]) == expected, (schema, value, verdict)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"unevaluatedProperties": False}, "unevaluatedProperties is not judged here"),
        ({"$ref": "https://example.com/x"}, "https://example.com/x is elsewhere"),
        ({"$ref": "#/$defs/x"}, "there is no #/$defs/x"),
        ({"$ref": "#"}, "it refers to itself without an end"),
        ({"pattern": "("}, "Invalid regular expression"),
    ],
)
def test_what_can_t_be_judged_is_told(page, schema, why):
    judge = 'async (schema) => (await import("/page/schema.js")).judged("\\"x\\"", schema)'
    assert why in page.evaluate(judge, schema)["unjudged"]


def test_events_are_read_wherever_they_are_cut(page):
    read = """async ([text, cuts]) => {
      const { events } = await import("/page/api.js");
      const bytes = new TextEncoder().encode(text);
      const body = new ReadableStream({
        start(controller) {
          let at = 0;
          for (const cut of [...cuts, bytes.length]) {
            controller.enqueue(bytes.slice(at, cut));
            at = cut;
          }
          controller.close();
        },
      });
      const real = window.fetch;
      window.fetch = async () => new Response(body);
      const got = [];
      try {
        for await (const each of events("/x", {})) got.push(each);
      } finally {
        window.fetch = real;
      }
      return got;
    }"""
    sent_objects = [{"a": "ü😀"}, {"b": "x\ny"}, {"c": 3}]
    lines = [
        ": a comment",
        f"data: {json.dumps(sent_objects[0], ensure_ascii=False)}",
        "",
        "event: x",
        f"data:{json.dumps(sent_objects[1])}",
        "",
        'data: {"c":',
        ": another",
        "data: 3}",
        "",
        "",
    ]
    for end in ("\n", "\r\n", "\r"):
        text = end.join(lines) + ("\n" if end == "\r" else "")
        size = len(text.encode())
        for cuts in ([], [*range(1, size)], *([cut] for cut in range(1, size))):
            assert page.evaluate(read, [text, cuts]) == sent_objects, (end, cuts)
