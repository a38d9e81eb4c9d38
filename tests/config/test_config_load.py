"""Reading a configuration: files that cannot be read, warnings, and places of problems found later."""

from pathlib import Path

import pytest

from streamer.config.errors import ConfigError, Problem, did_you_mean, render_path
from streamer.config.file import ConfigFile
from streamer.config.hashing import detect_document, hash_of
from streamer.config.load import load, load_text
from streamer.config.settings import Settings

BASE = """\
source:
  kafka: {bootstrap: "localhost:9092"}
  topics:
    - {match: trades, format: tapewatch}
"""
RULE = """\
rules:
  fat_finger:
    when: 'size > 50 * size_mean_1h'
"""


def refusal(path: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert refusal(path) == f"{path}: there is no such file"


def test_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: this is a folder: name the file in it"


def test_file_below_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(BASE)
    assert refusal(path / "b.yaml").startswith(f"{path}/b.yaml: cannot be read: ")


def test_name_with_a_null_byte() -> None:
    assert refusal("a\0b.yaml").endswith("this is not a file name")


def test_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "capture.yaml"
    path.write_bytes(b"#" * 2_000_000)
    assert (
        refusal(path) == f"{path}: larger than 1 MB: this cannot be a configuration (is it the right file?)"
    )


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3(", b"\xed\xa0\x80"])
def test_bytes_that_are_not_utf8(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: é".encode() + damage)
    assert refusal(path).startswith(f"{path}:2:5: not UTF-8: the byte 0x{damage[0]:02x}")


def test_byte_order_mark_and_windows_lines_change_no_place(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (BASE + RULE + "    severity: hihg\n").replace("\n", "\r\n").encode())
    assert refusal(path).startswith(f"{path}:8:15: rules.fat_finger.severity: 'hihg' is not one of ")


def test_sections_may_be_empty() -> None:
    config = load_text(
        BASE + "rules:\ndetectors:\nreceivers:\nroute:\nengine:\njournal:\ncheckpoint:\nlog:\n"
    )
    assert config.settings == load_text(BASE).settings


def test_defaults() -> None:
    settings = load_text(BASE).settings
    assert settings.store == "tapewatch.db"
    assert settings.engine.batch_size == 10_000
    assert settings.engine.timer_every_ns == 1_000_000_000
    assert settings.engine.max_ahead_ns == 60_000_000_000
    assert settings.engine.max_instruments == 10_000
    assert settings.engine.flood == 100
    assert settings.journal.keep == "checkpoint"
    assert settings.checkpoint.every_ns == 10_000_000_000
    assert (settings.log.format, settings.log.level) == ("console", "info")


def test_timers_can_be_off() -> None:
    assert load_text(BASE + "engine: {ticks: off}").settings.engine.timer_every_ns is None


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_text(BASE).settings.store = "other.db"  # type: ignore[misc]


def test_warnings_have_places() -> None:
    config = load_text(
        BASE
        + RULE
        + "detectors:\n  tape: {model: RobustZ, features: [size]}\n"
        + "receivers:\n  a: {console: {}}\n  b: {file: {path: b.jsonl}}\n"
        + "route: {to: [a]}\n",
        "t.yaml",
    )
    assert [str(warning) for warning in config.warnings] == [
        "t.yaml:9:3: detectors.tape: no rule names tape.score or tape.rarity, so it raises no alert",
        "t.yaml:12:3: receivers.b: no route leads to this receiver",
    ]


def test_a_flap_longer_than_alerts_are_kept_is_a_warning() -> None:
    receivers = "receivers: {a: {console: {}}}\n"
    (warning,) = load_text(BASE + RULE + "    flap: 2d\n" + receivers + "keep: {alerts: 1d}\n").warnings
    assert "an episode may come back after 2d, but keep.alerts deletes what is over after 1d" in str(warning)
    assert load_text(BASE + RULE + "    flap: 1d\n" + receivers + "keep: {alerts: 1d}\n").warnings == ()


def test_nothing_that_could_alert_is_a_warning() -> None:
    assert [warning.path for warning in load_text(BASE).warnings] == ["rules"]
    assert [warning.path for warning in load_text(BASE + RULE).warnings] == ["receivers"]


def test_a_detector_named_in_an_escalation_or_text_is_used() -> None:
    detectors = "detectors:\n  tape: {model: RobustZ, features: [size]}\nreceivers: {a: {console: {}}}\n"
    for use in ("escalate: {critical: tape.score > 9}", 'text: "{tape.score:.1f}"'):
        assert load_text(BASE + RULE + f"    {use}\n" + detectors).warnings == ()
    assert load_text(BASE + detectors + "drift: {watch: [tape.score]}\n").warnings == ()


def test_places_inside_a_text() -> None:
    config = load_text(BASE + RULE, "t.yaml")
    found = config.problem(("rules", "fat_finger", "when"), "too much", 1, 8)
    assert found == Problem("t.yaml", 7, 19, "rules.fat_finger.when", "too much")
    with pytest.raises(ConfigError, match=r"^t\.yaml:7:19: rules\.fat_finger\.when: too much$"):
        config.fail([found])


def test_what_is_not_written_is_placed_at_its_parent() -> None:
    config = load_text(BASE + RULE.replace("rules:\n", "rules:\n  extends: [crypto]\n"), "t.yaml")
    assert config.problem(("rules", "fat_finger", "text"), "x").line == 7
    at = config.locate(("engine", "flood"))
    assert at == (1, 1)
    catalogue = config.locate(("rules", "price_spike", "when"), 1, 5)
    assert catalogue == (6, 12)  # the set it comes from


def test_a_problem_that_names_something_below_is_placed_there() -> None:
    config = load_text(
        BASE + "detectors:\n  tape:\n    model: RobustZ\n    features: [size]\n    params: {k: 3}\n"
    )
    found = config.problem(("detectors", "tape"), "RobustZ has no parameter 'k'")
    assert (found.line, found.column, found.path) == (9, 14, "detectors.tape.params.k")


def test_settings_without_a_text_have_problems_without_places() -> None:
    config = ConfigFile.of(Settings(), "stored")
    assert str(config.problem(("rules", "a", "when"), "unknown name 'x'", 3, 4)) == (
        "stored: rules.a.when: unknown name 'x'"
    )


def test_repr_shows_no_text() -> None:
    assert "9092" not in repr(load_text(BASE))


def test_paths_and_suggestions() -> None:
    assert render_path(("a", 0, 1, "b c")) == "a[0][1].b c"
    assert did_you_mean("SLACK", ["slack", "webhook"]) == " (did you mean 'slack'?)"


@pytest.mark.parametrize(
    ("written", "joins"),
    [
        ("[trades, orders]", [("trades+orders", "each")]),
        ("[[trades, orders], [a, b]]", [("trades+orders", "each"), ("a+b", "each")]),
        ("{topics: [trades], partitions: all}", [("trades", "all")]),
        (
            "[[a, b], {topics: [orders, trades], partitions: all}]",
            [("a+b", "each"), ("orders+trades", "all")],
        ),
        ("[day_1.jsonl, 'h?.jsonl']", [("day_1.jsonl+h?.jsonl", "each")]),
        ("[tue/day_1.jsonl, mon/day_1.jsonl]", [("tue/day_1.jsonl+mon/day_1.jsonl", "each")]),
    ],
)
def test_joins_are_written_as_one_list_or_as_several(written: str, joins: list[tuple[str, str]]) -> None:
    source = """\
source:
  kafka: {bootstrap: "localhost:9092"}
  topics: [{match: [trades, orders, a, b]}]
  files: [{match: "day_*", format: tapewatch}, {match: "h?.jsonl", format: tapewatch}]
"""
    settings = load_text(f"{source}  join: {written}\n").settings.source
    assert [(join.name, join.partitions) for join in settings.joins] == joins
    assert settings.join_wait_ns == 500_000_000


def test_a_join_is_no_part_of_what_is_detected() -> None:
    alone = load_text(BASE.replace("trades", "[trades, orders]") + RULE)
    joined = load_text(BASE.replace("trades", "[trades, orders]") + "  join: [trades, orders]\n" + RULE)
    assert hash_of(detect_document(alone.settings)) == hash_of(detect_document(joined.settings))


def test_a_wait_without_a_join_warns() -> None:
    config = load_text(BASE + "  join_wait: 2s\n" + RULE)
    assert "5:3: source.join_wait: it has no effect" in "\n".join(map(str, config.warnings))
