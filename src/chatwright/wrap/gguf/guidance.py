"""llguidance's own word on a grammar.

llama.cpp logs that a grammar does not compile, and answers without one
(`llama_sampler_llg_new`, common/llguidance.cpp); so llguidance is asked first, by its C interface
(https://github.com/guidance-ai/llguidance, parser/llguidance.h), which xllamacpp's library exports.
"""

import ctypes
import functools
import warnings
from typing import Any

__all__ = ["problem_of"]

_MESSAGE_BYTES = 4096
_BYTES = 256
_INIT_BYTES = 1024
"""More than `LlgConstraintInit` has."""


class _TokenizerInit(ctypes.Structure):
    """`LlgTokenizerInit`."""

    _fields_ = (
        ("vocab_size", ctypes.c_uint32),
        ("tok_eos", ctypes.c_uint32),
        ("token_lens", ctypes.POINTER(ctypes.c_uint32)),
        ("token_bytes", ctypes.POINTER(ctypes.c_uint8)),
        ("tokenizer_json", ctypes.c_char_p),
        ("tokenize_assumes_string", ctypes.c_bool),
        ("tokenize_fn", ctypes.c_void_p),
        ("use_approximate_greedy_tokenize_fn", ctypes.c_bool),
        ("tokenize_user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
    )


def problem_of(library: str, grammar: str) -> tuple[bool, str]:
    """Return whether a grammar of llguidance's compiles, and what of it is left out, or wrong.

    Args:
        library: The shared library that holds llguidance.
        grammar: What llama.cpp is given: `%llguidance {}`, then a grammar in its form of Lark.

    Returns:
        Whether it compiles; and what llguidance says, empty where all is well.
    """
    compiler = _compiler(library)
    if compiler is None:
        return True, ""
    loaded, init = compiler
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    code = loaded.llg_validate_grammar(init, b"lark", grammar.encode(), message, _MESSAGE_BYTES)
    return code >= 0, message.value.decode(errors="replace")


@functools.cache
def _compiler(library: str) -> tuple[Any, Any] | None:
    """Return the library, and what it compiles for: whether a grammar compiles is all that counts.

    So the tokens are the bytes, and one that ends the text.
    """
    try:
        loaded = ctypes.CDLL(library)
        make, prepare = loaded.llg_new_tokenizer, loaded.llg_constraint_init_set_defaults
        _ = loaded.llg_validate_grammar
    except (OSError, AttributeError) as error:
        warnings.warn(
            f"this build of xllamacpp does not tell whether a grammar compiles ({error}); one that "
            "does not is left out by llama.cpp, and only its log says so",
            stacklevel=2,
        )
        return None
    described = _TokenizerInit(
        vocab_size=_BYTES + 1,
        tok_eos=_BYTES,
        token_lens=(ctypes.c_uint32 * (_BYTES + 1))(*[1] * (_BYTES + 1)),
        token_bytes=(ctypes.c_uint8 * (_BYTES + 1))(*range(_BYTES), 0),
        use_approximate_greedy_tokenize_fn=True,
    )
    make.restype = ctypes.c_void_p
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    tokenizer = ctypes.c_void_p(make(ctypes.byref(described), message, _MESSAGE_BYTES))
    init = ctypes.create_string_buffer(_INIT_BYTES)
    prepare(init, tokenizer)
    return loaded, init
