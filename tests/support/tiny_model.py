"""Writes small made-up models with the gguf package."""
import gguf
import numpy as np

WIDTH, HEADS, KV_HEADS, MLP, LAYERS, CONTEXT = 64, 2, 1, 96, 2, 256
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are tiny.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_alphabet():
    """GPT-2's printable character of each byte."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return [table[byte] for byte in range(256)]


def vocabulary():
    letters = byte_alphabet()
    merges = [("t", "h"), ("th", "e"), (letters[32], "the"), ("i", "n"), ("a", "n"), ("an", "d")]
    tokens = letters + [left + right for left, right in merges]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    types = [1] * len(tokens) + [3] * len(special)
    tokens += special
    while len(tokens) % 32:
        tokens.append(f"[PAD{len(tokens)}]")
        types.append(5)
    return tokens, types, [f"{left} {right}" for left, right in merges]


def tensors(arch, vocabulary_size, seed, bias, separate_head):
    random = np.random.default_rng(seed)
    kv = WIDTH // HEADS * KV_HEADS

    def matrix(rows, cols):
        return (random.standard_normal((rows, cols)) / np.sqrt(cols)).astype(np.float32)

    def vector(size, mean):
        return (mean + 0.1 * random.standard_normal(size)).astype(np.float32)

    yield "token_embd.weight", matrix(vocabulary_size, WIDTH)
    yield "output_norm.weight", vector(WIDTH, 1)
    if separate_head:
        yield "output.weight", matrix(vocabulary_size, WIDTH)
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        yield name + "attn_norm.weight", vector(WIDTH, 1)
        yield name + "attn_q.weight", matrix(WIDTH, WIDTH)
        yield name + "attn_k.weight", matrix(kv, WIDTH)
        yield name + "attn_v.weight", matrix(kv, WIDTH)
        if bias:
            yield name + "attn_q.bias", vector(WIDTH, 0)
            yield name + "attn_k.bias", vector(kv, 0)
            yield name + "attn_v.bias", vector(kv, 0)
        yield name + "attn_output.weight", matrix(WIDTH, WIDTH)
        yield name + "ffn_norm.weight", vector(WIDTH, 1)
        yield name + "ffn_gate.weight", matrix(MLP, WIDTH)
        yield name + "ffn_up.weight", matrix(MLP, WIDTH)
        yield name + "ffn_down.weight", matrix(WIDTH, MLP)


def write(path, arch="qwen2", seed=1, separate_head=False, chat_template=CHATML, types=None, change=None, extra=None):
    """`types(name)` chooses a tensor's type (default F32), `change(name, values)` its values; `extra(writer)` may add
    metadata. Returns the values written, by name."""
    tokens, token_types, merges = vocabulary()
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if arch == "qwen2" else "smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(token_types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    if chat_template:
        writer.add_chat_template(chat_template)
    if extra:
        extra(writer)
    written = {}
    for name, values in tensors(arch, len(tokens), seed, arch == "qwen2", separate_head):
        if change:
            values = change(name, values)
        kind = types(name) if types and values.ndim > 1 else gguf.GGMLQuantizationType.F32
        written[name] = values
        if kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written
