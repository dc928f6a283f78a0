"""`stonechat eval arc_c` and other multiple-choice tasks."""
import json

import numpy as np
import pytest

import numpy_forward
import tiny_model as tiny

QUESTIONS = [
    {"id": "a", "question": "Where does the rain go?", "choices": {"text": ["in the inn", "the sea", "the sea and the inn"], "label": ["A", "B", "C"]}, "answerKey": "B"},
    {"id": "b", "question": "Where is the mill?", "choices": {"text": ["in", "and then an inn", "the " * 12 + "end"], "label": ["1", "2", "3"]}, "answerKey": "1"},
    {"id": "c", "question": "Where is the rain?", "choices": {"text": ["an inn", "the sea"], "label": ["A", "B"]}, "answerKey": "A"},
]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def run_task(stonechat, model, data, samples, *flags):
    result = stonechat("eval", "arc_c", model, "--data", data, "--samples-out", samples, "--json", *flags)
    return json.loads(result.stdout), [json.loads(line) for line in samples.read_text().splitlines()]


def tokens_of(stonechat, model, text):
    return json.loads(stonechat("tokenize", model, text, "--json").stdout)["tokens"]


def numpy_log_likelihood(tensors, tokens, begin):
    """Of the tokens from `begin` on."""
    numbers = (tiny.LAYERS, tiny.HEADS, tiny.KV_HEADS, 1e-6, 10000.0, False)
    logits = numpy_forward.taps(tensors, np.array(tokens), *numbers)["output.out"]
    top = logits.max(axis=1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return sum(logs[i - 1, tokens[i]] for i in range(begin, len(tokens)))


def test_log_likelihoods_are_numpys(stonechat, tmp_path):
    model = tmp_path / "tiny.gguf"
    tensors = tiny.write(model)
    data = write(tmp_path / "arc.jsonl", QUESTIONS)
    result, samples = run_task(stonechat, model, data, tmp_path / "s.jsonl", "-ctk", "f32", "-ctv", "f32")
    right, right_norm = [], []
    for question, sample in zip(QUESTIONS, samples, strict=True):
        prompt = f"Question: {question['question']}\nAnswer:"
        expected = []
        for choice in question["choices"]["text"]:
            tokens = tokens_of(stonechat, model, f"{prompt} {choice}")
            begin = len(tokens_of(stonechat, model, prompt))
            expected.append(numpy_log_likelihood(tensors, tokens, begin))
        assert sample["log_likelihoods"] == pytest.approx(expected, rel=1e-4)
        gold = question["choices"]["label"].index(question["answerKey"])
        lengths = [len(choice) for choice in question["choices"]["text"]]
        assert (sample["id"], sample["gold"]) == (question["id"], gold)
        assert (sample["prompt"], sample["choices"]) == (prompt, question["choices"]["text"])
        right.append(int(np.argmax(expected)) == gold)
        right_norm.append(int(np.argmax(np.array(expected) / lengths)) == gold)
    assert result["questions"] == 3
    for name, values in (("acc", right), ("acc_norm", right_norm)):
        mean = np.mean(values)
        assert result[name] == pytest.approx(mean)
        assert result[name + "_stderr"] == pytest.approx(np.sqrt(mean * (1 - mean) / 2))


def test_a_long_prompt_loses_its_beginning(stonechat, tmp_path):
    """The context holds all tokens but the last, which is only predicted."""
    model, context = tmp_path / "tiny.gguf", 28
    tensors = tiny.write(model)
    data = write(tmp_path / "arc.jsonl", [QUESTIONS[0], {**QUESTIONS[2], "question": "?"}])
    flags = ["-ctk", "f32", "-ctv", "f32", "-c", str(context)]
    result, samples = run_task(stonechat, model, data, tmp_path / "s.jsonl", *flags)
    assert result["truncated"] == 1 and [sample["truncated"] for sample in samples] == [True, False]
    prompt = f"Question: {QUESTIONS[0]['question']}\nAnswer:"
    for choice, found in zip(QUESTIONS[0]["choices"]["text"], samples[0]["log_likelihoods"], strict=True):
        tokens = tokens_of(stonechat, model, f"{prompt} {choice}")
        scored = len(tokens) - len(tokens_of(stonechat, model, prompt))
        assert len(tokens) > context + 1
        assert found == pytest.approx(numpy_log_likelihood(tensors, tokens[-context - 1 :], context + 1 - scored), rel=1e-4)
    text = stonechat("eval", "arc_c", model, "--data", data, *flags).stdout
    assert "1 prompts lost their beginning: context 28" in text
    result = stonechat("eval", "arc_c", model, "--data", data, "-c", "4", check=False)
    assert result.returncode == 1 and "arc.jsonl:1: a choice of " in result.stderr, result.stderr


@pytest.mark.parametrize("cache", ["f32", "f16", "q8_0"])
def test_shared_beginnings_change_nothing(stonechat, tiny_model, tmp_path, cache):
    """Each question alone, in a new process, gives the same bits."""
    flags = ["-ctk", cache, "-ctv", cache]
    data = write(tmp_path / "all.jsonl", QUESTIONS)
    result, together = run_task(stonechat, tiny_model, data, tmp_path / "s.jsonl", *flags)
    slow, one_by_one = run_task(stonechat, tiny_model, data, tmp_path / "s.jsonl", *flags, "--no-share")
    assert one_by_one == together and slow["tokens"] == result["tokens"]
    for question, sample in zip(QUESTIONS, together, strict=True):
        _, alone = run_task(stonechat, tiny_model, write(tmp_path / "one.jsonl", [question]), tmp_path / "o.jsonl", *flags)
        assert alone == [sample]
        texts, labels = question["choices"]["text"], question["choices"]["label"]
        turned = {**question, "choices": {"text": texts[::-1], "label": labels[::-1]}}
        _, alone = run_task(stonechat, tiny_model, write(tmp_path / "one.jsonl", [turned]), tmp_path / "o.jsonl", *flags)
        assert alone[0]["log_likelihoods"] == sample["log_likelihoods"][::-1]


def test_shots_are_other_questions(stonechat, tiny_model, tmp_path):
    """With one shot fewer than questions, each question's shots are all the others, in the order drawn."""
    data = write(tmp_path / "two.jsonl", [QUESTIONS[0], QUESTIONS[2]])
    _, samples = run_task(stonechat, tiny_model, data, tmp_path / "s.jsonl", "--shots", "1")
    by_hand = {**QUESTIONS[0], "question": "Where is the rain?\nAnswer: an inn\n\nQuestion: " + QUESTIONS[0]["question"]}
    _, alone = run_task(stonechat, tiny_model, write(tmp_path / "one.jsonl", [by_hand]), tmp_path / "o.jsonl")
    assert alone[0]["log_likelihoods"] == samples[0]["log_likelihoods"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "at least one record"),
        ('{"question": ', "bad.jsonl:1"),
        ("[1]", "bad.jsonl:1: expected an object"),
        (json.dumps({**QUESTIONS[0], "question": None}), "bad.jsonl:1: question"),
        (json.dumps({**QUESTIONS[0], "question": ["x"]}), "bad.jsonl:1: question"),
        (json.dumps({**QUESTIONS[0], "answerKey": "Z"}), "bad.jsonl:1: answerKey: expected one of the 3"),
        (json.dumps({**QUESTIONS[0], "choices": {"text": [1, 2], "label": ["A", "B"]}}), "choices.text"),
        (json.dumps({**QUESTIONS[0], "choices": {"text": ["x"] * 27, "label": ["A"] * 27}}), "2 to 26"),
    ],
)
def test_bad_data(stonechat, tiny_model, tmp_path, text, expected):
    data, samples = tmp_path / "bad.jsonl", tmp_path / "s.jsonl"
    data.write_text(text)
    result = stonechat("eval", "arc_c", tiny_model, "--data", data, "--samples-out", samples, check=False)
    assert result.returncode == 1 and expected in result.stderr, result.stderr
    assert not samples.exists()


def test_wrong_use(stonechat, tiny_model, tmp_path):
    data = write(tmp_path / "arc.jsonl", QUESTIONS)
    for flags, expected in ((["--nope"], "--nope"), (["--shots", "3"], "--shots"), (["--limit", "0"], "--limit")):
        result = stonechat("eval", "arc_c", tiny_model, "--data", data, *flags, check=False)
        assert result.returncode == 2 and expected in result.stderr, result.stderr
    train = write(tmp_path / "train.jsonl", QUESTIONS)
    for out in (data, train, tiny_model):
        kept = out.read_bytes()
        flags = ["--shots-file", train, "--shots", "1", "--samples-out", out]
        result = stonechat("eval", "arc_c", tiny_model, "--data", data, *flags, check=False)
        assert result.returncode == 2 and f"{out}: the output is an input" in result.stderr
        assert out.read_bytes() == kept


def test_shots_from_another_file(stonechat, tiny_model, tmp_path):
    data = write(tmp_path / "test.jsonl", QUESTIONS[:1])
    train = write(tmp_path / "train.jsonl", QUESTIONS[1:])
    result, samples = run_task(stonechat, tiny_model, data, tmp_path / "s.jsonl", "--shots-file", train, "--shots", "2")
    assert samples[0]["prompt"] == (
        "Question: Where is the mill?\nAnswer: in\n\nQuestion: Where is the rain?\nAnswer: an inn\n\n"
        "Question: Where does the rain go?\nAnswer:"
    )
    assert result["seed"] is None and result["shots_file"] == str(train)
    firsts = set()
    for seed in range(6):
        _, samples = run_task(
            stonechat, tiny_model, data, tmp_path / "s.jsonl", "--shots-file", train, "--shots", "1", "--seed", str(seed)
        )
        firsts.add(samples[0]["prompt"].split("?")[0])
    assert firsts == {"Question: Where is the mill", "Question: Where is the rain"}
    for file, shots, expected in ((train, 3, "--shots: "), (data, 1, "--shots-file: "), (train, 0, "--shots-file: ")):
        result = stonechat("eval", "arc_c", tiny_model, "--data", data, "--shots-file", file, "--shots", shots, check=False)
        assert result.returncode == 2 and expected in result.stderr, result.stderr


def test_winogrande_scores_the_rest_of_the_sentence(stonechat, tiny_model, tmp_path):
    """Contexts differ, so each choice gets what the other way round, as prompt and choice, gives it."""
    sentence = {"sentence": "The inn and the mill sank as _ was in the sea.", "option1": "the inn", "option2": "the mill", "answer": "2"}
    out = tmp_path / "s.jsonl"
    stonechat("eval", "winogrande", tiny_model, "--data", write(tmp_path / "w.jsonl", [sentence]), "--samples-out", out)
    sample = json.loads(out.read_text())
    assert sample["gold"] == 1 and sample["ending"] == "was in the sea."
    task = tmp_path / "task.json"
    task.write_text(json.dumps({"name": "rest", "prompt": "{context}", "choices": ["{rest}", "{other}"], "answer": "gold"}))
    for option, found in zip(("the inn", "the mill"), sample["log_likelihoods"], strict=True):
        record = {"context": f"The inn and the mill sank as {option}", "rest": "was in the sea.", "other": "x", "gold": 0}
        data = write(tmp_path / "rest.jsonl", [record])
        stonechat("eval", "task", tiny_model, "--task", task, "--data", data, "--samples-out", out)
        assert json.loads(out.read_text())["log_likelihoods"][0] == found


def test_a_task_file_can_say_what_arc_says(stonechat, tiny_model, tmp_path):
    data, task = write(tmp_path / "arc.jsonl", QUESTIONS), tmp_path / "arc.json"
    task.write_text(json.dumps({
        "name": "my_arc", "prompt": "Question: {question}\nAnswer:", "choices": "choices.text", "labels": "choices.label", "answer": "answerKey",
    }))
    ours, samples = run_task(stonechat, tiny_model, data, tmp_path / "s.jsonl", "--shots", "1")
    out = tmp_path / "t.jsonl"
    result = stonechat("eval", "task", tiny_model, "--task", task, "--data", data, "--shots", "1", "--samples-out", out, "--json")
    theirs = json.loads(result.stdout)
    assert theirs["task"] == "my_arc" and theirs["acc"] == ours["acc"]
    assert [json.loads(line) for line in out.read_text().splitlines()] == [{**sample, "task": "my_arc"} for sample in samples]
    task.write_text('{"name": "x", "prompt": "{question}", "choice": "c", "answer": "a"}')
    result = stonechat("eval", "task", tiny_model, "--task", task, "--data", data, check=False)
    assert result.returncode == 1 and "arc.json: choice: not a key" in result.stderr, result.stderr


def test_csv(stonechat, tiny_model, tmp_path):
    """Quoted fields, line ends of both kinds; and the same questions as JSON lines give the same bits."""
    table, lines = tmp_path / "piqa.csv", tmp_path / "piqa.jsonl"
    table.write_bytes(b'goal,sol1,sol2,label\r\n"Dry, and ""warm""",wool,"a\nhat",1\nShut it,door,the lid,0\n')
    questions = [
        {"goal": 'Dry, and "warm"', "sol1": "wool", "sol2": "a\nhat", "label": "1"},
        {"goal": "Shut it", "sol1": "door", "sol2": "the lid", "label": "0"},
    ]
    write(lines, questions)
    found = []
    for data in (table, lines):
        out = tmp_path / "samples.jsonl"
        stonechat("eval", "piqa", tiny_model, "--data", data, "--samples-out", out)
        found.append([json.loads(line)["log_likelihoods"] for line in out.read_text().splitlines()])
    assert found[0] == found[1] and len(found[0]) == 2 and len(set(found[0][0])) == 2
    for text, expected in (
        (b"goal,goal\n1,2\n", "piqa.csv:1: expected different field names"),
        (b"goal,sol1\n1\n", "piqa.csv:2: expected 2 fields, found 1"),
        (b'goal,sol1\n"1,2\n', "piqa.csv:2: a quote opens here"),
        (b"", "nothing"),
    ):
        table.write_bytes(text)
        result = stonechat("eval", "piqa", tiny_model, "--data", table, check=False)
        assert result.returncode == 1 and expected in result.stderr, result.stderr
