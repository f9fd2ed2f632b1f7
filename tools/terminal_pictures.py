"""Write docs/check.svg: what `chatwright check` tells of a model, as a terminal shows it."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "check.svg"
COLUMNS = 88
LINES = 26
MODEL = '''
from langchain_core.language_models import SimpleChatModel


class Hasty(SimpleChatModel):
    """Written after the guide, in a hurry."""

    @property
    def _llm_type(self):
        return "hasty"

    def _call(self, messages, stop=None, run_manager=None, **kwargs):
        return "The cat sat on the mat."
'''


def told() -> str:
    """Return what the command writes, with its colours."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "my_model.py").write_text(MODEL, "utf-8")
        command = ["check", "my_model:Hasty", "--no-langchain-tests", "--yes"]
        return subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", "chatwright", *command],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1"},
        ).stdout


def drawn(text: str) -> str:
    """Return a terminal's picture of a text with ANSI escapes: SVG that loads nothing."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(Text.from_ansi("\n".join(text.splitlines()[:LINES])))
    svg = console.export_svg(title="chatwright check my_model:Hasty", unique_id="check")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(drawn(told()), "utf-8")
