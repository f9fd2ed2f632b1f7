"""What both ends of Ollama's chat know of it."""

from chatwright.wires.usage import UsageFields

__all__ = ["PATH", "USAGE"]

PATH = "/api/chat"
USAGE = UsageFields(input="prompt_eval_count", output="eval_count")
