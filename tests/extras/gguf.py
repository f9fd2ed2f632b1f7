"""llama.cpp answers by SmolLM2, where that is; it says what is wrong with weights anyhow."""

from pathlib import Path

from chatwright import ChatGGUF
from chatwright.errors import ChatwrightError, WeightsError

Path("broken.gguf").write_bytes(b"GGUF" + bytes(100))
try:
    ChatGGUF("broken.gguf").invoke("hello")
except ChatwrightError as error:
    if "broken.gguf" not in str(error):
        raise
else:
    raise AssertionError("nothing was wrong")
try:
    assert ChatGGUF("smollm2").invoke("Say hello.", max_tokens=5).text
except WeightsError as error:
    assert "chatwright pull smollm2" in str(error), error
    print("the weights are not here")
