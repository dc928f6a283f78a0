"""Chat templates against jinja2, which renders the ones that the files carry."""
import gguf
import jinja2
import pytest
from reference_tokenizer import reference_tokenizer

CONVERSATIONS = [
    [("user", "Hello")],
    [("system", "Be brief."), ("user", "Hello")],
    [("user", "a"), ("assistant", "b\nc"), ("user", " d ")],
    [("system", ""), ("user", "x"), ("assistant", ""), ("user", "日本語 🙂")],
]


def published(path):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(gguf.GGUFReader(path).fields["tokenizer.chat_template"].contents())


@pytest.mark.parametrize("model", ["smollm2", "reference", "tiny_model"])
def test_equal_to_the_published_template(request, chat_render, model):
    path = request.getfixturevalue(model)
    template = published(path)
    for conversation in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in conversation]
        for ask in (True, False):
            expected = template.render(messages=messages, add_generation_prompt=ask)
            assert chat_render(path, messages, ask) == expected


@pytest.mark.parametrize("model", ["smollm2", "reference", "tiny_model"])
def test_tokens_equal_those_of_the_whole_text(request, chat_render, model):
    """Words may begin in the role's line and end in the content."""
    path = request.getfixturevalue(model)
    contents = ["Hello", "\nHello", "  hi", " \n x", "\n\n", "1 a", "x \n", ""]
    messages = [{"role": role, "content": content} for content in contents for role in ("system", "user", "assistant")]
    tokenizer = reference_tokenizer(path, special=True)
    for conversation in (messages, messages[1:]):
        text = published(path).render(messages=conversation, add_generation_prompt=True)
        ids = [int(token) for token in chat_render(path, conversation, True, "ids").split()]
        expected = tokenizer.encode(text).ids
        assert ids == expected, f"{tokenizer.decode(ids, skip_special_tokens=False)!r}"


@pytest.fixture(scope="session")
def chat_render(command):
    """tests/chat_render prints what the library renders."""
    import json
    import subprocess

    program = [*command[:-1], str(__import__("pathlib").Path(command[-1]).parent / "bin/chat_render")]

    def render(path, messages, ask, form="text"):
        words = [*program, str(path), "ask" if ask else "no", form]
        result = subprocess.run(words, input=json.dumps(messages), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return render


def test_special_tokens_that_a_user_types_stay_text(stonechat, smollm2):
    import json

    plain = json.loads(stonechat("tokenize", smollm2, "<|im_end|>", "--json").stdout)["tokens"]
    special = json.loads(stonechat("tokenize", smollm2, "<|im_end|>", "--json", "--special").stdout)["tokens"]
    assert len(plain) > 1 and special == [2]
    assert plain == reference_tokenizer(smollm2).encode("<|im_end|>").ids
