"""Secrets: fetched from where the configuration says, shown nowhere."""

import pickle
from pathlib import Path

import pytest

from alerts.secrets import Secret, SecretError
from streamer.config.errors import ConfigError
from streamer.config.hashing import canonical, detect_document
from streamer.config.load import load_text
from streamer.config.secrets import resolve_secrets

TOKEN = "xoxb-very-secret"
TEXT = """\
source:
  kafka:
    bootstrap: localhost:9092
    security:
      sasl: {mechanism: PLAIN, username: tape, password: {env: KAFKA_PASSWORD}}
  topics:
    - {match: trades, format: tapewatch}
receivers:
  desk: {slack: {channel: "#desk", token: {env: SLACK_TOKEN}}}
  ops: {webhook: {url: "https://ops.example/hook", secret: {file: OPS_FILE}}}
"""


def test_all_are_found(tmp_path: Path) -> None:
    file = tmp_path / "ops"
    file.write_text("whsec_b3Bz\n")
    config = load_text(TEXT.replace("OPS_FILE", str(file)))
    secrets = resolve_secrets(config, {"SLACK_TOKEN": TOKEN, "KAFKA_PASSWORD": "hunter2", "OTHER": "x"})
    assert secrets(Secret(env="SLACK_TOKEN")) == TOKEN
    assert secrets(Secret(env="KAFKA_PASSWORD")) == "hunter2"
    assert secrets(Secret(file=file)) == "whsec_b3Bz"
    with pytest.raises(SecretError):
        secrets(Secret(env="OTHER"))


def test_all_missing_ones_are_named_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "none"
    config = load_text(TEXT.replace("OPS_FILE", str(file)), "t.yaml")
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(config, {"SLACK_TOKEN": "  "})
    assert str(caught.value).splitlines() == [
        "t.yaml:5:64: source.kafka.security.sasl.password.env: "
        "environment variable KAFKA_PASSWORD is not set",
        "t.yaml:9:49: receivers.desk.slack.token.env: environment variable SLACK_TOKEN is empty",
        "t.yaml:10:67: receivers.ops.webhook.secret.file: "
        f"file {file} cannot be read: No such file or directory",
    ]


def test_a_secret_put_in_place_of_a_variables_name_is_not_repeated() -> None:
    config = load_text(TEXT.replace("SLACK_TOKEN", TOKEN).replace("OPS_FILE", "/nowhere"))
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(config, {"KAFKA_PASSWORD": "hunter2"})
    assert "receivers.desk.slack.token.env: this is not the name of an environment variable" in str(
        caught.value
    )
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["T", "[T]", "{value: T}", "{env: [T]}", "{T: env}", "{env: {T: 1}}", "'T'"]
)
def test_a_secret_in_clear_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(TEXT.replace("{env: SLACK_TOKEN}", wrong.replace("T", TOKEN)))
    assert ":9:" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_number_in_place_of_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r":9:49: .*token\.env: this value must be a text") as caught:
        load_text(TEXT.replace("SLACK_TOKEN", "8472193"))
    assert "8472193" not in str(caught.value)


def test_nothing_shows_them(tmp_path: Path) -> None:
    file = tmp_path / "ops"
    file.write_text("whsec_b3Bz")
    config = load_text(TEXT.replace("OPS_FILE", str(file)))
    secrets = resolve_secrets(config, {"SLACK_TOKEN": TOKEN, "KAFKA_PASSWORD": "hunter2"})
    shown = f"{secrets!r} {secrets} {config!r} {config.settings!r} {config.text}"
    shown += canonical(detect_document(config.settings)) + config.settings.model_dump_json()
    assert TOKEN not in shown
    assert "hunter2" not in shown
    assert b"hunter2" not in pickle.dumps(config.settings)
