"""`stonechat chat`: one turn from a pipe, and a terminal."""
import json
import os
import pty
import select
import subprocess
import time

import pytest


@pytest.mark.slow_model
def test_one_turn_from_a_pipe(stonechat, reference):
    out = stonechat("chat", reference, "--greedy", "-n", "40", input="What is the capital of France?\n").stdout
    assert "Paris" in out


def test_json(stonechat, tiny_model):
    out = json.loads(stonechat("chat", tiny_model, "--greedy", "-n", "5", "--json", input="the inn").stdout)
    assert out["generated_tokens"] <= 5 and "answer" in out


def test_a_loaded_conversation_has_its_own_system_prompt(stonechat, tiny_model):
    result = stonechat("chat", tiny_model, "--system", "x", "--load", "y.json", input="the", check=False)
    assert result.returncode == 2 and "--system" in result.stderr and "--load" in result.stderr


def test_empty_standard_input(stonechat, tiny_model):
    result = stonechat("chat", tiny_model, input="\n", check=False)
    assert result.returncode == 2 and "empty" in result.stderr


def test_unknown_template(stonechat, tmp_path):
    import tiny_model

    path = tmp_path / "strange.gguf"
    tiny_model.write(path, chat_template="{{ bos_token }}[INST] {{ messages[0]['content'] }} [/INST]")
    result = stonechat("chat", path, input="hello", check=False)
    assert result.returncode == 1 and "tokenizer.chat_template" in result.stderr and "run" in result.stderr
    assert stonechat("run", path, "hello", "-n", "2").returncode == 0


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, command, *arguments, **environment):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
            env={**os.environ, "TERM": "dumb", **environment},
        )
        os.close(slave)
        self.seen = ""
        self.at = 0  # what was read up to here has been matched

    def read_until(self, text, seconds=120):
        start, end = self.at, time.time() + seconds
        while text not in self.seen[start:]:
            assert time.time() < end, f"no {text!r} in {self.seen[start:]!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        self.at = self.seen.index(text, start) + len(text)
        return self.seen[start : self.at]

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        self.process.wait(timeout=60)
        os.close(self.master)
        return self.process.returncode


def test_terminal(command, tiny_model, tmp_path):
    terminal = Terminal(
        command, "chat", tiny_model, "--greedy", "-n", "12", XDG_STATE_HOME=str(tmp_path / "state")
    )
    terminal.read_until("> ")
    terminal.type("/help\n")
    assert "/system TEXT" in terminal.read_until("goes on in the next one.")
    terminal.type("the inn\n")
    terminal.read_until("> ")
    terminal.type("/stats\n")
    assert "tokens/s" in terminal.read_until("MiB")
    terminal.type("/system Be brief.\n")
    terminal.read_until("begun anew")
    terminal.type("and\n")
    terminal.read_until("> ")
    saved = tmp_path / "talk.json"
    terminal.type(f"/save {saved}\n")
    terminal.read_until("(saved to")
    messages = json.loads(saved.read_text())["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert messages[0]["content"] == "Be brief." and messages[1]["content"] == "and"
    terminal.type("/clear\n")
    terminal.read_until("(forgotten)")
    terminal.type(f"/load {saved}\n")
    terminal.read_until("(3 messages loaded)")
    (tmp_path / "bad.json").write_text('{"messages": [{"role": "king", "content": "x"}]}')
    terminal.type(f"/load {tmp_path / 'bad.json'}\n")
    assert "messages[0].role" in terminal.read_until("king")
    terminal.type("/nonsense\n")
    terminal.read_until("unknown command /nonsense")
    terminal.type("/exit\n")
    assert terminal.end() == 0


@pytest.mark.slow_model
def test_ctrl_c_stops_the_answer_and_not_the_program(command, smollm2, tmp_path):
    terminal = Terminal(command, "chat", smollm2, "--temp", "0", XDG_STATE_HOME=str(tmp_path))
    terminal.read_until("> ")
    terminal.type("Write a very long story about the sea.\n")
    terminal.read_until("sea.\r\n")
    time.sleep(1)
    terminal.type("\x03")
    terminal.read_until("(stopped)")
    terminal.read_until("> ")
    terminal.type("/stats\n")
    terminal.read_until("ended by interrupted")
    terminal.read_until("> ")
    time.sleep(0.5)  # a terminal drops an end of input that comes while its mode changes
    terminal.type("\x04")
    assert terminal.end() == 0
