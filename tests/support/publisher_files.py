"""Writes the directory that a publisher would give for a GGUF model: the other way round, as an oracle."""
import json
import struct

import gguf
import numpy as np

ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
# Published by Qwen and Meta in their tokenizer.json.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def sequence(first, use_regex):
    return {"type": "Sequence", "pretokenizers": [first, byte_level(use_regex)]}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


PRE_TOKENIZERS = {
    "gpt-2": byte_level(True),
    "smollm": sequence({"type": "Digits", "individual_digits": True}, True),
    "qwen2": sequence(split(WORDS % ""), False),
    "llama-bpe": sequence(split(WORDS % "{1,3}"), False),
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def fields_of_large(path):
    """{key: (types, value)} of a GGUF file's metadata. The package takes many seconds for a vocabulary of 150,000."""
    with open(path, "rb") as file:
        data = file.read(64 << 20)
    formats = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    at = 24  # after magic, version and the two counts

    def take(kind, count=1):
        nonlocal at
        values = struct.unpack_from(f"<{count}{formats[kind]}", data, at)
        at += struct.calcsize(f"<{count}{formats[kind]}")
        return values

    def text():
        nonlocal at
        (length,) = take(10)
        at += length
        return data[at - length : at].decode()

    result = {}
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key = text()
        (kind,) = take(4)
        types = [gguf.GGUFValueType(kind).name]
        if kind == gguf.GGUFValueType.ARRAY:
            (kind,), (count,) = take(4), take(10)
            types.append(gguf.GGUFValueType(kind).name)
            value = [text() for _ in range(count)] if kind == gguf.GGUFValueType.STRING else list(take(kind, count))
        else:
            value = text() if kind == gguf.GGUFValueType.STRING else take(kind)[0]
        result[key] = (types, value)
    return result


def metadata(reader):
    return {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def published_name(name):
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    _, layer, kind, part = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[kind]}.{part}"


def config(values):
    """config.json from GGUF metadata."""
    arch = values["general.architecture"]
    value = lambda key: values[f"{arch}.{key}"]  # noqa: E731
    return {
        "architectures": [{"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[arch]],
        "bos_token_id": values["tokenizer.ggml.bos_token_id"], "eos_token_id": values["tokenizer.ggml.eos_token_id"],
        "hidden_act": "silu", "hidden_size": value("embedding_length"),
        "intermediate_size": value("feed_forward_length"), "max_position_embeddings": value("context_length"),
        "model_type": arch, "num_attention_heads": value("attention.head_count"),
        "num_hidden_layers": value("block_count"), "num_key_value_heads": value("attention.head_count_kv"),
        # As people write it: the shortest decimal that is the same float.
        "rms_norm_eps": float(str(np.float32(value("attention.layer_norm_rms_epsilon")))),
        "rope_theta": value("rope.freq_base"), "rope_scaling": None, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": len(values["tokenizer.ggml.tokens"]),
    }


def tokenizer(values, pairs=True, special_in_vocabulary=False):
    """tokenizer.json from GGUF metadata. `pairs`: merges as newer tools write them."""
    texts, types, merges, pre = (values[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type", "merges", "pre"))
    plain = lambda kind: kind == NORMAL or (special_in_vocabulary and kind == CONTROL)  # noqa: E731
    added = [
        {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": kind == CONTROL}
        for i, (text, kind) in enumerate(zip(texts, types)) if kind in (CONTROL, USER_DEFINED)
    ]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None, "pre_tokenizer": PRE_TOKENIZERS[pre],
        "post_processor": byte_level(False), "decoder": byte_level(True),
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": pre == "llama-bpe",
            "vocab": {text: i for i, (text, kind) in enumerate(zip(texts, types)) if plain(kind)},
            "merges": [merge.split(" ") for merge in merges] if pairs else list(merges),
        },
    }


def tokenizer_config(values):
    """tokenizer_config.json from GGUF metadata."""
    texts = values["tokenizer.ggml.tokens"]
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    result = {"tokenizer_class": "GPT2Tokenizer", "clean_up_tokenization_spaces": False}
    for ours, theirs in named.items():
        token = values.get(f"tokenizer.ggml.{theirs}_token_id")
        result[f"{ours}_token"] = None if token is None else texts[token]
    if "tokenizer.ggml.add_space_prefix" in values:
        result["add_prefix_space"] = values["tokenizer.ggml.add_space_prefix"]
    if "tokenizer.ggml.add_bos_token" in values:
        result["add_bos_token"] = values["tokenizer.ggml.add_bos_token"]
    if "tokenizer.chat_template" in values:
        result["chat_template"] = values["tokenizer.chat_template"]
    return result


def as_halves_of_head(values, heads):
    """GGUF's llama architecture has a head's rotated pairs side by side, publishers in two halves."""
    shape = values.shape
    return values.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def tensors(reader, values):
    """(publisher's name, values as F32) of each tensor of a GGUF file with this metadata."""
    llama = values["general.architecture"] == "llama"
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        floats = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
        if llama and ".attn_q." in tensor.name:
            floats = as_halves_of_head(floats, values["llama.attention.head_count"])
        if llama and ".attn_k." in tensor.name:
            floats = as_halves_of_head(floats, values["llama.attention.head_count_kv"])
        yield published_name(tensor.name), floats


def stored(values, kind):
    """The bytes of these values as a type of safetensors."""
    if kind == "BF16":
        return gguf.quants.quantize(np.ascontiguousarray(values), gguf.GGMLQuantizationType.BF16).tobytes()
    return np.ascontiguousarray(values.astype({"F32": np.float32, "F16": np.float16}[kind])).tobytes()


def write_safetensors(path, entries, kind_of):
    """`entries`: [(name, values)], written in this order one at a time."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, values in entries:
        size = values.size * ELEMENT_BYTES[kind_of(name)]
        header[name] = {"dtype": kind_of(name), "shape": list(values.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, values in entries:
            out.write(stored(values, kind_of(name)))
    return end


def write(directory, model, kind="F32", shards=1, change=None, config_changes=(), **tokenizer_flags):
    """A publisher's directory of the GGUF file `model`. `kind` may be a function of a tensor's name, `change(entries)`
    may alter the list of tensors, `config_changes` the fields of config.json. Returns {name: values}."""
    directory.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(model)
    values = metadata(reader)
    write_json(directory / "config.json", {**config(values), **dict(config_changes)})
    write_json(directory / "tokenizer.json", tokenizer(values, **tokenizer_flags))
    write_json(directory / "tokenizer_config.json", tokenizer_config(values))
    entries = list(tensors(reader, values))
    if change:
        entries = change(entries)
    kind_of = kind if callable(kind) else lambda name: kind
    if shards == 1:
        write_safetensors(directory / "model.safetensors", entries, kind_of)
        return dict(entries)
    weight_map, total = {}, 0
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = entries[shard::shards]
        total += write_safetensors(directory / name, part, kind_of)
        weight_map.update({tensor: name for tensor, _ in part})
    write_json(directory / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
    return dict(entries)


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def edit_json(path, change):
    """`change(value)` alters the content in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    write_json(path, value)
