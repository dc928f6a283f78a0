#!/usr/bin/env python3
"""Writes tests/golden/NAME.json: logits and greedy tokens of a model, computed by transformers in FP32.

Run by hand, in a virtual environment with torch, transformers, gguf and numpy; their versions are recorded:

    tools/make_golden.py qwen2.5-coder-0.5b path/to/model.gguf
    tools/make_golden.py smollm2-135m path/to/model.gguf

The weights are those of the GGUF file, dequantized by the gguf package. Where the file has a separate output.weight it
is taken for the embedding too, as `stonechat convert --tie-embeddings` does. Token ids are made by the tokenizers
package from the file's vocabulary.
"""
import importlib.metadata
import json
import pathlib
import platform
import sys

import gguf
import numpy as np
import tokenizers
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/support"))
from reference_tokenizer import reference_tokenizer  # noqa: E402

GREEDY_TOKENS = 128
TOP = 32
PROMPTS = {
    "english": "The capital of France is",
    "one-word": "Once",
    "code": "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "chinese": "北京是中国的首都，它有着悠久的历史。上海是",
    "numbers": "Question: What is 17 * 23 + 4? Let us compute step by step: 17 * 23 =",
    "long": (
        "A lighthouse keeper wrote in his book every evening: the wind, the ships, the colour of the sea. For forty "
        "years nobody read it. When the lamp was given a motor and the keeper a pension, he carried the books down the "
        "hundred and twelve steps, and a teacher of the village asked for them. She counted the ships of each month, "
        "drew a line through the winters, and found that the storms came three weeks later than they had when the "
        "keeper was young. She sent the line to the university. A professor answered that it was the only such record "
        "on that coast, and that he would like to see the books. The keeper, who had never been farther than the "
        "market town, packed them in oilcloth, put on his good coat and took the train. On the way he read the first "
        "page again, written by a man of twenty-three: wind from the west, two ships, sea grey. He thought that"
    ),
}


def metadata(reader):
    return {name: field.contents() for name, field in reader.fields.items() if "tokenizer" not in name}


def tensor(entry):
    return torch.from_numpy(gguf.quants.dequantize(entry.data, entry.tensor_type).astype(np.float32))


def unpermute(weight, heads):
    """Rows of the llama architecture's Q and K pair (2i, 2i + 1); transformers pairs (i, i + half)."""
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def load(path):
    reader = gguf.GGUFReader(path)
    fields = metadata(reader)
    arch = fields["general.architecture"]
    value = lambda key: fields[f"{arch}.{key}"]  # noqa: E731
    tensors = {entry.name: entry for entry in reader.tensors}
    heads, kv_heads = value("attention.head_count"), value("attention.head_count_kv")
    config = (transformers.Qwen2Config if arch == "qwen2" else transformers.LlamaConfig)(
        vocab_size=int(tensors["token_embd.weight"].shape[1]),
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")},
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    state = {}
    for name, entry in tensors.items():
        if name.startswith("blk."):
            _, layer, rest = name.split(".", 2)
            weight = tensor(entry)
            if arch == "llama" and rest == "attn_q.weight":
                weight = unpermute(weight, heads)
            if arch == "llama" and rest == "attn_k.weight":
                weight = unpermute(weight, kv_heads)
            for ours, theirs in NAMES.items():
                if rest.startswith(ours):
                    rest = rest.replace(ours, theirs, 1)
                    break
            state[f"model.layers.{layer}.{rest}"] = weight
    embedding = tensor(tensors.get("output.weight", tensors["token_embd.weight"]))
    state["model.embed_tokens.weight"] = embedding
    state["lm_head.weight"] = embedding
    state["model.norm.weight"] = tensor(tensors["output_norm.weight"])
    model = (transformers.Qwen2ForCausalLM if arch == "qwen2" else transformers.LlamaForCausalLM)(config)
    model.load_state_dict(state, strict=True)
    return model.float().eval()


def perplexity(model, tokenizer, window=256):
    """As `stonechat eval ppl` defines it: second half of each whole window."""
    text = (pathlib.Path(__file__).parent.parent / "data/demo_text.txt").read_text()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    losses = []
    for start in range(0, len(ids) - window + 1, window):
        part = torch.tensor([ids[start : start + window]])
        log_probabilities = torch.log_softmax(model(part).logits[0].double(), dim=-1)
        for position in range(window // 2, window - 1):
            losses.append(-float(log_probabilities[position, part[0, position + 1]]))
    return {"text": "data/demo_text.txt", "window": window, "tokens": len(losses), "value": float(np.exp(np.mean(losses)))}


def main(name, path):
    torch.manual_seed(0)
    model = load(path)
    tokenizer = reference_tokenizer(path)
    vocabulary = model.config.vocab_size
    fixed = [int(i * (vocabulary - 1) // 63) for i in range(64)]
    prompts = []
    with torch.no_grad():
        for label, text in PROMPTS.items():
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            logits = model(torch.tensor([ids])).logits[0, -1].double()
            order = torch.argsort(logits, descending=True)[:TOP].tolist()
            entry = {
                "label": label,
                "tokens": ids,
                "top": [[token, round(float(logits[token]), 5)] for token in order],
                "fixed": [[token, round(float(logits[token]), 5)] for token in fixed],
            }
            cache, step, greedy, margins = None, torch.tensor([ids]), [], []
            for _ in range(GREEDY_TOKENS):
                out = model(step, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                best = torch.topk(out.logits[0, -1], 2)
                greedy.append(int(best.indices[0]))
                margins.append(float(best.values[0] - best.values[1]))
                step = best.indices[:1].reshape(1, 1)
            entry["greedy"] = greedy
            entry["smallest_margin"] = round(min(margins), 5)
            prompts.append(entry)
            print(label, entry["top"][:2], entry["smallest_margin"], flush=True)
        scored = perplexity(model, tokenizer)
        print(scored, flush=True)
    out = {
        "made_by": "tools/make_golden.py",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "gguf": importlib.metadata.version("gguf"),
            "tokenizers": tokenizers.__version__,
        },
        "perplexity": scored,
        "prompts": prompts,
    }
    target = pathlib.Path(__file__).parent.parent / "tests/golden" / f"{name}.json"
    lines = json.dumps(out, separators=(",", ":"), ensure_ascii=False)
    target.write_text(lines.replace('{"label"', '\n{"label"').replace('"prompts"', '\n"prompts"') + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
