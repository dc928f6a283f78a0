"""A qwen2 or llama forward pass in numpy, in double, that keeps what comes into and out of each linear layer."""
import numpy as np


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * weight


def rotate(x, base, adjacent):
    """x: (tokens, heads, head_dim). Pairs (i, i + head_dim / 2), or neighbours."""
    tokens, _, dim = x.shape
    angles = np.arange(tokens)[:, None, None] * base ** (-np.arange(dim // 2) / (dim // 2))
    first, second = (slice(0, None, 2), slice(1, None, 2)) if adjacent else (slice(0, dim // 2), slice(dim // 2, None))
    a, b = x[..., first], x[..., second]
    out = np.empty_like(x)
    out[..., first] = a * np.cos(angles) - b * np.sin(angles)
    out[..., second] = b * np.cos(angles) + a * np.sin(angles)
    return out


def taps(tensors, tokens, layers, heads, kv_heads, epsilon, rope_base, adjacent):
    """What one window shows, by the names that calibrate uses: {name: (tokens, channels)}."""
    tensors = {name: values.astype(np.float64) for name, values in tensors.items()}
    seen = {}
    stream = tensors["token_embd.weight"][tokens]
    count = len(tokens)
    mask = np.triu(np.full((count, count), -np.inf), 1)
    for layer in range(layers):
        p = f"blk.{layer}."

        def linear(name, x):
            return x @ tensors[p + name + ".weight"].T + tensors.get(p + name + ".bias", 0)

        x = seen[p + "attn_qkv.in"] = rms_norm(stream, tensors[p + "attn_norm.weight"], epsilon)
        q = seen[p + "attn_q.out"] = linear("attn_q", x)
        k = seen[p + "attn_k.out"] = linear("attn_k", x)
        v = seen[p + "attn_v.out"] = linear("attn_v", x)
        dim = q.shape[1] // heads
        q = rotate(q.reshape(count, heads, dim), rope_base, adjacent)
        k = rotate(k.reshape(count, kv_heads, dim), rope_base, adjacent)
        seen[p + "attn_k.rotated"] = k.reshape(count, -1)
        v = v.reshape(count, kv_heads, dim)
        mixed = np.empty_like(q)
        for head in range(heads):
            own = head // (heads // kv_heads)
            scores = q[:, head] @ k[:, own].T / np.sqrt(dim) + mask
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, head] = weights / weights.sum(axis=1, keepdims=True) @ v[:, own]
        x = seen[p + "attn_output.in"] = mixed.reshape(count, -1)
        x = seen[p + "attn_output.out"] = linear("attn_output", x)
        stream = stream + x
        x = seen[p + "ffn_gate_up.in"] = rms_norm(stream, tensors[p + "ffn_norm.weight"], epsilon)
        gate = seen[p + "ffn_gate.out"] = linear("ffn_gate", x)
        up = seen[p + "ffn_up.out"] = linear("ffn_up", x)
        x = seen[p + "ffn_down.in"] = gate / (1 + np.exp(-gate)) * up
        x = seen[p + "ffn_down.out"] = linear("ffn_down", x)
        stream = stream + x
    x = seen["output.in"] = rms_norm(stream, tensors["output_norm.weight"], epsilon)
    seen["output.out"] = x @ tensors.get("output.weight", tensors["token_embd.weight"]).T
    return seen
