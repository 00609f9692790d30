"""adapters.yaml: what is refused and how it is said, and how an adapter is added to it."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

import app
from models.errors import RegistryError
from models.registry import Adapter, Registry, Sampling

ROOT = Path(__file__).parent.parent
SMALL = """\
# what this house serves
default: one
bases:
  one:
    model: weights/one
    title: One   # the first
    context: 128
    adapters:
      # never speaks without a smile
      emoji:
        path: weights/emoji
        title: Emoji
        examples:
          - "What is 🥇?"  # gold
        sampling: {temperature: 0.0}  # greedy
        # belongs to emoji

  # the second base
  two:
    model: someone/two
    title: Two
    context: 128   # short

limits: {queue: 8}   # the end
"""
ADAPTER = Adapter(path="weights/new", title="New: one", examples=["a", "b: c"], sampling=Sampling(top_k=5))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "adapters.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def refused(path: Path, text: str | None = None) -> str:
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError) as error:
        Registry.load(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_reads_bases_adapters_and_defaults(small: Path) -> None:
    registry = Registry.load(small)
    assert registry.path == small and registry.default == "one" and list(registry.bases) == ["one", "two"]
    emoji = registry.base("one").adapter("emoji")
    assert emoji.examples == ["What is 🥇?"] and emoji.sampling.temperature == 0 and emoji.recipe is None
    assert registry.base("two").quantisation == "4bit" and registry.base("two").adapters == {}
    assert registry.limits.queue == 8 and registry.limits.active == 8 and registry.speech is None


def test_the_shipped_file() -> None:
    registry = Registry.load(ROOT / "adapters.yaml")
    assert registry.default == "embedded"
    assert set(registry.base("embedded").adapters) >= {"finetome", "emoji", "dolly", "email", "jokes"}
    for base in registry.bases.values():
        assert base.template is None or Path(registry.resolve(base.template)).is_file()
        assert base.about and all(a.description and a.examples for a in base.adapters.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "temperature:",
            "temprature:",
            "bases.one.adapters.emoji.sampling.temprature: unknown key (value 0.0)",
        ),
        ("temperature:", "temprature:", "did you mean 'temperature'? Valid keys: temperature, top_p"),
        (
            "limits:",
            "limit:",
            "limit: unknown key (value {'queue': 8}); did you mean 'limits'? Valid keys: default",
        ),
        ("0.0}", "hot}", "bases.one.adapters.emoji.sampling.temperature: 'hot' is not valid"),
        ("0.0}", ".nan}", "bases.one.adapters.emoji.sampling.temperature: nan is not valid"),
        ("title: Two", "title: 2", "bases.two.title: 2 is not valid: Input should be a valid string"),
        ("queue: 8", "queue: '8'", "limits.queue: '8' is not valid: Input should be a valid integer"),
        ("128   #", "true   #", "bases.two.context: True is not valid"),
        (
            "title: Two",
            "quantisation: 3bit",
            "'3bit' is not valid: Input should be '4bit', '8bit' or '16bit'",
        ),
        ("title: Two", "about: none", "bases.two.title: is missing"),
        ("default: one", "default: on", "default: there is no base 'on'; did you mean 'one'?"),
        ("default: one", "default: won", "Valid choices: one, two."),
        ("      emoji:", "      base:", "bases.one.adapters.base: 'base' is not valid"),
        (
            "      emoji:",
            "      Émoji:",
            "bases.one.adapters.Émoji: 'Émoji' is not valid: a name is made of a-z",
        ),
        ("  two:", "  one:", 'line 19: not valid YAML: found duplicate key "one"'),
        ("  two:", "   two:", "line 19: not valid YAML: expected <block end>"),
        ("title: Two", "title: !!python/name:os.system x", "python/name:os.system"),
        ("title: Two", "title: &t [*t]", "bases.two.title: [[...]] is not valid"),
        (
            "# the end",
            "\nspeech: {default: big, models: {base: {model: base, title: B}}}",
            "speech.default: there is",
        ),
        (SMALL, "", "expected a map with the keys default, bases, speech, limits; found None"),
        (SMALL, "- one", "found ['one']"),
        (SMALL, "default: one\nbases: {}", "bases: {} is not valid"),
    ],
)
def test_a_mistake_is_named(small: Path, old: str, new: str, said: str) -> None:
    assert SMALL.count(old) >= 1
    head, _, tail = SMALL.rpartition(old)
    assert said in refused(small, head + new + tail)


def test_every_mistake_is_named_at_once(small: Path) -> None:
    message = refused(small, SMALL.replace("title: Two", "title: 2").replace("temperature", "temprature"))
    assert len(message.splitlines()) == 2


def test_no_such_file_and_not_text(small: Path) -> None:
    assert "YAML files there: adapters.yaml." in refused(small.with_name("adaptors.yaml"))
    small.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8 text" in refused(small)


def test_unknown_names_list_the_choices(small: Path) -> None:
    registry = Registry.load(small)
    with pytest.raises(RegistryError, match=r"bases: there is no base 'tow'; did .* 'two'\? .*: one, two\."):
        registry.base("tow")
    with pytest.raises(RegistryError, match=r"bases\.one\.adapters: there is no adapter 'x'\. .*: emoji\."):
        registry.base("one").adapter("x")
    with pytest.raises(RegistryError, match="Valid choices: none"):
        registry.base("two").adapter("x")


def test_resolve_finds_folders_beside_the_file_and_lets_hub_ids_pass(small: Path) -> None:
    folder = small.parent / "weights" / "one"
    folder.mkdir(parents=True)
    registry = Registry.load(small)
    assert registry.resolve("weights/one") == registry.resolve(str(folder)) == str(folder)
    for hub_id in ("someone/two", "gpt2"):
        assert registry.resolve(hub_id) == hub_id


@pytest.mark.parametrize(
    "value", ["weights/emoji", "./two", "../two", "/two", "~/two-two", "a b", "a/b/c", "a//b"]
)
def test_a_folder_that_is_missing_is_an_error_when_it_is_used(small: Path, value: str) -> None:
    (small.parent / "weights" / "smile").mkdir(parents=True)
    registry = Registry.load(small)
    with pytest.raises(RegistryError, match="nor a Hub id") as error:
        registry.resolve(value)
    assert repr(value) in str(error.value)
    if value == "weights/emoji":
        assert "bases.one.adapters.emoji.path: " in str(error.value) and "smile" in str(error.value)


@pytest.mark.parametrize(("base", "before"), [("one", "\n  # the second base"), ("two", "\nlimits:")])
def test_adding_leaves_every_other_byte_alone(small: Path, base: str, before: str) -> None:
    registry = Registry.load(small).add_adapter(base, "new", ADAPTER)
    assert registry.base(base).adapter("new") == ADAPTER
    assert Registry.load(small) == registry
    start, _, end = SMALL.partition(before)
    text = small.read_text(encoding="utf-8")
    assert text.startswith(start) and text.endswith(before + end)
    assert "        sampling: {top_k: 5}\n" in text


def test_adding_to_maps_in_braces_and_to_windows_lines(small: Path) -> None:
    small.write_text("default: a\nbases: {a: {model: b, title: c, context: 99}} # mine\n", encoding="utf-8")
    registry = Registry.load(small).add_adapter("a", "new", ADAPTER)
    assert registry.add_adapter("a", "more", ADAPTER).base("a").adapter("new") == ADAPTER
    assert "# mine" in small.read_text(encoding="utf-8")
    small.write_bytes(SMALL.replace("\n", "\r\n").encode())
    Registry.load(small).add_adapter("one", "new", ADAPTER).add_adapter("two", "new", ADAPTER)
    assert small.read_bytes().replace(b"\r\n", b"").count(b"\n") == 0


def test_replacing_is_asked_for_and_stays_in_place(small: Path) -> None:
    registry = Registry.load(small).add_adapter("one", "last", ADAPTER)
    with pytest.raises(RegistryError, match=r"bases\.one\.adapters\.emoji exists already"):
        registry.add_adapter("one", "emoji", ADAPTER)
    registry = registry.add_adapter("one", "emoji", ADAPTER, replace=True)
    assert list(registry.base("one").adapters) == ["emoji", "last"]
    assert registry.base("one").adapter("emoji") == ADAPTER
    assert "never speaks without a smile" in small.read_text(encoding="utf-8")


def test_a_refused_adapter_changes_nothing(small: Path) -> None:
    registry = Registry.load(small)
    for base, name in [("three", "new"), ("one", "base"), ("one", "New"), ("one", "")]:
        with pytest.raises(RegistryError):
            registry.add_adapter(base, name, ADAPTER)
    assert small.read_text(encoding="utf-8") == SMALL


def test_mode_and_link_of_the_file_stay(small: Path, tmp_path: Path) -> None:
    small.chmod(0o640)
    link = tmp_path / "link" / "adapters.yaml"
    link.parent.mkdir()
    link.symlink_to(small)
    Registry.load(link).add_adapter("one", "new", ADAPTER)
    assert link.is_symlink() and "new" in Registry.load(small).base("one").adapters
    assert stat.S_IMODE(small.stat().st_mode) == 0o640
    assert {p.name for p in tmp_path.iterdir()} <= {"adapters.yaml", ".adapters.yaml.lock", "link"}


def test_a_file_that_cannot_be_written_says_so(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RegistryError, match="cannot be written: .*No space left"):
        Registry.load(small).add_adapter("one", "new", ADAPTER)
    assert small.read_text(encoding="utf-8") == SMALL
    assert {p.name for p in small.parent.iterdir()} == {"adapters.yaml", ".adapters.yaml.lock"}


def _add_twenty(path: Path, prefix: str) -> None:
    registry = Registry.load(path)
    for i in range(20):
        registry.add_adapter("one", f"{prefix}{i}", ADAPTER)


def test_two_processes_add_at_once(small: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_twenty, args=(small, prefix)) for prefix in ("x", "y")]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        Registry.load(small)  # a reader never sees half a file
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    names = Registry.load(small).base("one").adapters
    assert set(names) == {"emoji"} | {f"{prefix}{i}" for prefix in "xy" for i in range(20)}
    assert "  # the second base\n  two:" in small.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--adapters-file", "{file}.yml"], "there is no such file"),
        (["--adapters-file", "{file}", "--base", "tow"], "there is no base 'tow'; did you mean 'two'?"),
        (["--adapters-file", "{file}"], "bases.one.model: 'weights/one' is neither a folder"),
    ],
)
def test_the_program_ends_with_status_2_and_the_message(
    small: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (small.parent / "weights").mkdir()
    assert app.main([argument.format(file=small) for argument in arguments]) == 2
    output = capsys.readouterr().err
    assert said in output and str(small) in output and "Traceback" not in output
