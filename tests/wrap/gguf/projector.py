"""A tiny multimodal projector with random weights, in the form of LLaVA's."""

import base64
import struct
import zlib

import gguf
import numpy as np

EMBEDDING, FEED_FORWARD, HEADS, BLOCKS, IMAGE, PATCH = 32, 64, 2, 2, 28, 14
TEXT_EMBEDDING = 576  # SmolLM2-135M's


def write(path, text_embedding=TEXT_EMBEDDING):
    """Write the file; llama.cpp's `clip.cpp` names the keys and tensors."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for key, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": EMBEDDING,
        "feed_forward_length": FEED_FORWARD,
        "block_count": BLOCKS,
        "attention.head_count": HEADS,
        "projection_dim": text_embedding,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def tensor(name, *shape):
        writer.add_tensor(name, (random.standard_normal(shape) * 0.05).astype(np.float32))

    def linear(name, outputs, inputs):
        tensor(f"{name}.weight", outputs, inputs)
        tensor(f"{name}.bias", outputs)

    tensor("v.patch_embd.weight", EMBEDDING, 3, PATCH, PATCH)
    tensor("v.class_embd", EMBEDDING)
    tensor("v.position_embd.weight", (IMAGE // PATCH) ** 2 + 1, EMBEDDING)
    for norm in ("v.pre_ln", *(f"v.blk.{n}.ln{k}" for n in range(BLOCKS) for k in (1, 2))):
        tensor(f"{norm}.weight", EMBEDDING)
        tensor(f"{norm}.bias", EMBEDDING)
    for block in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"v.blk.{block}.{part}", EMBEDDING, EMBEDDING)
        linear(f"v.blk.{block}.ffn_up", FEED_FORWARD, EMBEDDING)
        linear(f"v.blk.{block}.ffn_down", EMBEDDING, FEED_FORWARD)
    linear("mm.0", text_embedding, EMBEDDING)
    linear("mm.2", text_embedding, text_embedding)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(red, size=8):
    """Return an image of one colour, in base64."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + bytes([red, 10, 10]) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()
