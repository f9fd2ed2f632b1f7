"""`chatwright serve`: chat models behind the APIs of OpenAI, Anthropic and Ollama."""
