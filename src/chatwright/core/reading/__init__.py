"""How calls are read out of text: a reader for each way to write them."""
