"""Any `BaseChatModel`, used: so far in conversations."""
