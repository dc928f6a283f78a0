"""The tokenizers package set up from a GGUF file's own vocabulary: the oracle for ours."""
import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

CONTROL, USER_DEFINED = 3, 4
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(False)])


PRE_TOKENIZERS = {
    "gpt-2": lambda: byte_level(True),
    "llama-bpe": lambda: split(LLAMA3 % "{1,3}"),
    "qwen2": lambda: split(LLAMA3 % ""),
    "smollm": lambda: pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]),
}


def reference_tokenizer(path, special=False):
    """`special`: control tokens in the text are read as such."""
    fields = gguf.GGUFReader(path).fields
    value = lambda key: fields[f"tokenizer.ggml.{key}"].contents()  # noqa: E731
    texts, types, merges = value("tokens"), value("token_type"), value("merges")
    vocabulary = {text: i for i, text in enumerate(texts)}
    model = models.BPE(
        vocabulary, [tuple(merge.split(" ")) for merge in merges], ignore_merges=value("pre") == "llama-bpe"
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[value("pre")]()
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    wanted = (CONTROL, USER_DEFINED) if special else (USER_DEFINED,)
    added = [AddedToken(text, normalized=False) for text, kind in zip(texts, types) if kind in wanted]
    tokenizer.add_special_tokens(added)
    return tokenizer
