"""Programs that speak the Agent Client Protocol: agents such as Claude Code, Codex, Gemini CLI."""
