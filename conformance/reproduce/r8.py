"""Counting tokens goes to the network, where no cache of tiktoken's is filled."""

import socket
import sys
import tempfile
from unittest import mock

from conformance.models import model

asked = []
with tempfile.TemporaryDirectory() as empty, mock.patch.dict("os.environ", TIKTOKEN_CACHE_DIR=empty):
    with mock.patch.object(socket, "getaddrinfo", side_effect=lambda *args, **_: asked.append(args[0]) or 1 / 0):
        try:
            model(sys.argv[1]).get_num_tokens("Hi")
        except Exception as error:
            print(f"get_num_tokens asked for {asked}, then {type(error).__name__}")
sys.exit(not asked)
