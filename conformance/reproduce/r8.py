"""Counting tokens goes to the network, where no cache of tiktoken's is filled."""

import os
import socket
import sys
import tempfile
from unittest import mock

from conformance.models import model

llm = model(sys.argv[1])
with tempfile.TemporaryDirectory() as empty:
    os.environ["TIKTOKEN_CACHE_DIR"] = empty
    with mock.patch.object(socket, "getaddrinfo", side_effect=OSError("no network")) as asked:
        try:
            llm.get_num_tokens("Hi")
        except Exception as error:
            print(f"get_num_tokens asked for {asked.call_args.args[0]}: {type(error).__name__}")
sys.exit(not asked.called)
