"""Where settings come from, how they are merged, and which environment applies."""

from __future__ import annotations

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from sdk.errors import ConfigurationError
from sdk.settings import (
    ProducerOptions,
    RetryOptions,
    Settings,
    TlsOptions,
    TopicOptions,
    load_settings,
)

ADDRESSES = """
[default.kafka]
bootstrap_servers = "kafka:9092"
client_id = "orders"
[default.registry]
url = "http://registry:8081"
[docker]
[production]
"""
VARIABLES = {
    "SDK_ENV": "production",
    "SDK_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
    "SDK_REGISTRY__URL": "http://registry:8081",
}


def load(
    folder: Path,
    main: str,
    environment: str | None = "docker",
    *,
    secrets: str | None = None,
    **variables: str,
) -> Settings:
    """Load settings from files with these texts and from these variables alone."""
    path = folder / "settings.toml"
    path.write_text(main)
    if secrets is not None:
        (folder / ".secrets.toml").write_text(secrets)
    return load_settings(environment, settings=path, environ=variables)


def test_embedded_needs_nothing(tmp_path: Path) -> None:
    """Without a file, a variable or a name, the embedded environment applies."""
    with chdir(tmp_path):
        settings = load_settings(environ={})
    assert settings.environment == "embedded"
    assert settings.kafka.embedded
    assert settings.registry.embedded
    assert settings.registry.auto_register


def test_missing_environment_beside_a_file(tmp_path: Path) -> None:
    """With a settings file, no environment is ever guessed."""
    with pytest.raises(ConfigurationError, match=r"no environment.*settings\.toml") as caught:
        load(tmp_path, ADDRESSES, environment=None)
    assert caught.value.remedy is not None
    assert "SDK_ENV" in caught.value.remedy
    assert "production" in caught.value.remedy


def test_missing_environment_beside_a_variable(tmp_path: Path) -> None:
    """With any SDK_ variable, no environment is ever guessed, and the variable is named."""
    with chdir(tmp_path), pytest.raises(ConfigurationError, match="SDK_LOGGING__LEVEL"):
        load_settings(environ={"SDK_LOGGING__LEVEL": "DEBUG"})


def test_blank_environment_is_no_environment(tmp_path: Path) -> None:
    """An empty SDK_ENV chooses nothing, as if it were not set."""
    with chdir(tmp_path):
        assert load_settings(environ={"SDK_ENV": ""}).environment == "embedded"


def test_sdk_env_chooses_and_is_no_key(tmp_path: Path) -> None:
    """SDK_ENV picks the environment and does not turn up as an unknown key."""
    assert load(tmp_path, ADDRESSES, None, SDK_ENV="production").environment == "production"


def test_argument_beats_sdk_env(tmp_path: Path) -> None:
    """The environment that the caller names wins over SDK_ENV."""
    assert load(tmp_path, ADDRESSES, "docker", SDK_ENV="production").environment == "docker"


def test_unknown_environment(tmp_path: Path) -> None:
    """A mistyped environment does not fall back to the defaults; the near name is offered."""
    told = r"'prodution' is unknown: no table \[prodution\] in .*settings\.toml"
    with pytest.raises(ConfigurationError, match=told) as caught:
        load(tmp_path, ADDRESSES, "prodution")
    assert caught.value.remedy == "did you mean 'production'?"


def test_unknown_environment_of_the_variable(tmp_path: Path) -> None:
    """A mistyped SDK_ENV is named."""
    with pytest.raises(ConfigurationError, match=r"'prodution' \(SDK_ENV\) is unknown"):
        load(tmp_path, ADDRESSES, None, SDK_ENV="prodution")


def test_unknown_environment_without_any_settings(tmp_path: Path) -> None:
    """Without a file, a mistyped environment is found out as well."""
    with chdir(tmp_path), pytest.raises(ConfigurationError, match="'embeded' is unknown") as caught:
        load_settings("embeded", environ={})
    assert caught.value.remedy == "did you mean 'embedded'?"


def test_variables_alone_suffice(tmp_path: Path) -> None:
    """A service without a settings file is configured by variables, with its own environment."""
    with chdir(tmp_path):
        settings = load_settings(environ={**VARIABLES, "SDK_ENV": "staging"})
    assert settings.environment == "staging"
    assert settings.kafka.bootstrap_servers == ("kafka:9092",)
    assert settings.registry.url == ("http://registry:8081",)
    assert not settings.registry.auto_register


def test_settings_file_of_the_current_directory(tmp_path: Path) -> None:
    """settings.toml and .secrets.toml of the current directory are found."""
    (tmp_path / "settings.toml").write_text(ADDRESSES)
    (tmp_path / ".secrets.toml").write_text("[docker.kafka]\nclient_id = 'secret'\n")
    with chdir(tmp_path):
        assert load_settings("docker", environ={}).kafka.client_id == "secret"


def test_settings_file_named_by_variable(tmp_path: Path) -> None:
    """SDK_SETTINGS names the file, and is no key."""
    path = tmp_path / "other.toml"
    path.write_text(ADDRESSES)
    settings = load_settings("docker", environ={"SDK_SETTINGS": str(path)})
    assert settings.kafka.client_id == "orders"


def test_several_files(tmp_path: Path) -> None:
    """Later files take precedence, key by key."""
    base, team = tmp_path / "base.toml", tmp_path / "team.toml"
    base.write_text(ADDRESSES)
    team.write_text("[default.kafka]\nclient_id = 'team'\n")
    kafka = load_settings("docker", settings=[base, team], environ={}).kafka
    assert (kafka.client_id, kafka.bootstrap_servers) == ("team", ("kafka:9092",))


def test_missing_file(tmp_path: Path) -> None:
    """A settings file that was named must exist."""
    with pytest.raises(ConfigurationError, match=r"no settings file .*gone\.toml"):
        load_settings("docker", settings=tmp_path / "gone.toml", environ={})


def test_file_that_is_no_toml(tmp_path: Path) -> None:
    """A syntax error is told with file and line."""
    with pytest.raises(ConfigurationError, match=r"settings\.toml is not valid TOML.*line 2"):
        load(tmp_path, "[default]\nsource = = 1\n")


def test_file_that_is_no_utf8(tmp_path: Path) -> None:
    """A file in another encoding is told, and does not come back half read."""
    path = tmp_path / "settings.toml"
    path.write_bytes(b"[default]\nsource = '/caf\xe9'\n")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        load_settings("docker", settings=path, environ={})


def test_environment_keeps_the_default_keys(tmp_path: Path) -> None:
    """[docker.kafka] overrides keys of [default.kafka] and drops none of the others."""
    kafka = load(tmp_path, ADDRESSES + "[docker.kafka]\nbootstrap_servers = 'local:1'\n").kafka
    assert (kafka.bootstrap_servers, kafka.client_id) == (("local:1",), "orders")


def test_other_environments_do_not_leak(tmp_path: Path) -> None:
    """Values of [production] do not apply to docker."""
    text = ADDRESSES + "[production.kafka]\nclient_id = 'live'\n"
    assert load(tmp_path, text).kafka.client_id == "orders"


def test_precedence(tmp_path: Path) -> None:
    """Top level, [default], environment, secrets and variables win in this order."""
    layers = ["[retry]\nretry_count = 1\n", "[default.retry]\nretry_count = 2\n"]
    text = ADDRESSES
    for expected, layer in enumerate([*layers, "[docker.retry]\nretry_count = 3\n"], start=1):
        text += layer
        assert load(tmp_path, text).retry.retry_count == expected
    secrets = "[docker.retry]\nretry_count = 4\n"
    assert load(tmp_path, text, secrets=secrets).retry.retry_count == 4
    assert load(tmp_path, text, secrets=secrets, SDK_RETRY__RETRY_COUNT="5").retry.retry_count == 5


def test_an_environment_beats_a_default_in_the_secrets(tmp_path: Path) -> None:
    """The more specific table wins over the later file."""
    text = ADDRESSES + "[docker.kafka]\nclient_id = 'docker'\n"
    secrets = "[default.kafka]\nclient_id = 'secret'\n"
    assert load(tmp_path, text, secrets=secrets).kafka.client_id == "docker"


def test_lists_replace(tmp_path: Path) -> None:
    """A list takes the place of the one below it; nothing is appended."""
    text = ADDRESSES + (
        "[[default.topics]]\nevent = 'A'\nname = 'a'\n"
        "[[default.topics]]\nevent = 'B'\nname = 'b'\n"
        "[[docker.topics]]\nevent = 'C'\nname = 'c'\n"
        "[docker.kafka]\nbootstrap_servers = ['one:1', 'two:2']\n"
    )
    settings = load(tmp_path, text)
    assert [topic.event for topic in settings.topics] == ["C"]
    assert settings.kafka.bootstrap_servers == ("one:1", "two:2")


def test_origin_of_the_routes(tmp_path: Path) -> None:
    """Settings know where the routes were written, for errors that only the wiring can find."""
    entry = "[[{}topics]]\nevent = 'A'\nname = 'a'\n"
    assert load(tmp_path, ADDRESSES).topics_origin == "[[topics]]"
    top = load(tmp_path, ADDRESSES + entry.format("")).topics_origin
    assert top.endswith("settings.toml [[topics]]")
    table = load(tmp_path, ADDRESSES + entry.format("docker.")).topics_origin
    assert table.endswith("settings.toml [[docker.topics]]")
    assert load(tmp_path, ADDRESSES, SDK_TOPICS="[]").topics_origin == "SDK_TOPICS"


def test_nested_variables(tmp_path: Path) -> None:
    """Two underscores lead into a table, and upper case is only the variable's."""
    settings = load(
        tmp_path,
        ADDRESSES,
        SDK_KAFKA__TLS__CA_LOCATION="/etc/ca.pem",
        SDK_CONSUMER__GROUP_ID="Billing",
        SDK_RETRY__BASE_DELAY_MS="50",
        SDK_LOGGING__LEVEL="debug",
    )
    assert settings.kafka.tls == TlsOptions(ca_location="/etc/ca.pem")
    assert settings.kafka.client_id == "orders"
    assert settings.consumer.group_id == "Billing"
    assert settings.retry == RetryOptions(base_delay_ms=50)
    assert settings.logging.level == "DEBUG"


@pytest.mark.parametrize("text", ["a:1,b:2", "a:1, b:2", '["a:1", "b:2"]', "['a:1','b:2']"])
def test_list_in_a_variable(tmp_path: Path, text: str) -> None:
    """A list is written with commas, as TOML or as JSON."""
    settings = load(tmp_path, ADDRESSES, SDK_KAFKA__BOOTSTRAP_SERVERS=text)
    assert settings.kafka.bootstrap_servers == ("a:1", "b:2")


@pytest.mark.parametrize(
    "text",
    [
        '[{event = "A", name = "a", config = {"retention.ms" = 1}}]',
        '[{"event": "A", "name": "a", "config": {"retention.ms": 1}}]',
    ],
)
def test_topics_in_a_variable(tmp_path: Path, text: str) -> None:
    """Routes are written in one variable, as TOML or as JSON."""
    topics = load(tmp_path, ADDRESSES, SDK_TOPICS=text).topics
    assert topics == (TopicOptions(event="A", name="a", config={"retention.ms": "1"}),)


def test_topic_configuration_is_text(tmp_path: Path) -> None:
    """Topic configuration may be written as numbers and booleans; Kafka takes text."""
    config = "{a = 1, b = true, c = false, d = 0.5, e = 'x'}"
    topics = load(
        tmp_path, ADDRESSES, SDK_TOPICS=f"[{{event='A', name='a', config={config}}}]"
    ).topics
    assert topics[0].config == {"a": "1", "b": "true", "c": "false", "d": "0.5", "e": "x"}


def test_table_in_a_variable(tmp_path: Path) -> None:
    """A whole table is laid over the one below, and a more specific variable over it."""
    settings = load(
        tmp_path,
        ADDRESSES,
        SDK_PRODUCER='{linger_ms = 1, compression_type = "zstd"}',
        SDK_PRODUCER__LINGER_MS="2.5",
        SDK_LOGGING__OVERRIDES='{"sdk.retry": "debug"}',
    )
    assert settings.producer == ProducerOptions(linger_ms=2.5, compression_type="zstd")
    assert settings.logging.overrides == {"sdk.retry": "DEBUG"}


def run_in(folder: Path, code: str, **variables: str) -> str:
    """Run code in a new process, in this folder and with only these variables."""
    done = subprocess.run(
        [sys.executable, "-c", f"from sdk.settings import load_settings; {code}"],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_process_environment_is_the_default(tmp_path: Path) -> None:
    """Without `environ`, the variables of this process are read."""
    assert run_in(tmp_path, "print(load_settings().environment)", **VARIABLES) == "production"


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    """Variables of other programs and of dynaconf itself change nothing."""
    foreign = "[default.kafka]\nclient_id = 'foreign'\n"
    (tmp_path / "settings.toml").write_text(ADDRESSES + "[docker.consumer]\ngroup_id = '@int 5'\n")
    (tmp_path / "other.toml").write_text(foreign)
    (tmp_path / "settings.local.toml").write_text(foreign)
    (tmp_path / ".env").write_text("SDK_KAFKA__CLIENT_ID=foreign\n")
    (tmp_path / "dynaconf_hooks.py").write_text("raise SystemExit('a hook has run')\n")
    found = run_in(
        tmp_path,
        "s = load_settings('docker'); print(s.kafka.client_id, s.consumer.group_id)",
        SDKMAN_DIR="/opt",
        DYNACONF_KAFKA__CLIENT_ID="foreign",
        SETTINGS_FILE_FOR_DYNACONF="other.toml",
        SETTINGS_FILES_FOR_DYNACONF="other.toml",
        ENV_FOR_DYNACONF="production",
        AUTO_CAST_FOR_DYNACONF="true",
        PRELOAD_FOR_DYNACONF="other.toml",
        INCLUDES_FOR_DYNACONF="other.toml",
        ENVIRONMENTS_FOR_DYNACONF="true",
        MERGE_ENABLED_FOR_DYNACONF="true",
    )
    assert found == "orders @int 5"


def test_embedded_named_beside_a_file(tmp_path: Path) -> None:
    """Embedded never reaches for the cluster, credentials or registry of [default]."""
    text = ADDRESSES + (
        "[default.kafka.tls]\n[default.kafka.sasl]\nmechanism = 'PLAIN'\n"
        "username = 'u'\npassword = 'p'\n"
        "[default.registry.tls]\n"
    )
    settings = load(tmp_path, text, "embedded")
    assert settings.kafka.embedded
    assert settings.registry.embedded
    assert settings.kafka.tls is settings.kafka.sasl is settings.registry.tls is None
    assert settings.kafka.client_id == "orders"


def test_embedded_registry_of_another_environment(tmp_path: Path) -> None:
    """The registry inside the process starts empty, so it registers wherever it is used."""
    text = ADDRESSES + "[docker.registry]\nurl = 'embedded'\n"
    assert load(tmp_path, text).registry.auto_register
    assert not load(tmp_path, text + "auto_register = false\n").registry.auto_register
    assert not load(tmp_path, ADDRESSES).registry.auto_register


def test_joining_another_process(tmp_path: Path) -> None:
    """The exports of `python -m sdk.embedded` lead to its broker and registry."""
    with chdir(tmp_path):
        settings = load_settings(
            environ={
                "SDK_ENV": "embedded",
                "SDK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:40001",
                "SDK_REGISTRY__URL": "http://127.0.0.1:40002",
            }
        )
    assert settings.kafka.bootstrap_servers == ("127.0.0.1:40001",)
    assert not settings.kafka.embedded
    assert settings.registry.url == ("http://127.0.0.1:40002",)
    assert settings.registry.auto_register


def test_tls_switch(tmp_path: Path) -> None:
    """`tls = true` is TLS with the system's certificates, `tls = false` switches it off."""
    assert load(tmp_path, ADDRESSES + "[docker.kafka]\ntls = true\n").kafka.tls == TlsOptions()
    text = ADDRESSES + "[default.kafka.tls]\nca_location = 'ca.pem'\n[docker.kafka]\ntls = false\n"
    assert load(tmp_path, text).kafka.tls is None


def test_dynaconf_tokens_stay_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Dynaconf's tokens are not evaluated, neither in files nor in variables; a warning says so."""
    token = "@format {this.registry}"
    settings = load(
        tmp_path,
        ADDRESSES + f"[default.producer.librdkafka]\n'a.b' = '{token}'\n",
        SDK_KAFKA__CLIENT_ID="@jinja {{ 1 + 1 }}",
    )
    assert settings.producer.librdkafka == {"a.b": token}
    assert settings.kafka.client_id == "@jinja {{ 1 + 1 }}"
    assert "settings.toml [default]: producer.librdkafka.a.b begins with @format" in caplog.text
    assert "SDK_KAFKA__CLIENT_ID: kafka.client_id begins with @jinja" in caplog.text


def test_options_are_light() -> None:
    """Importing the options loads no dynaconf."""
    code = "import sys, sdk.settings; sys.exit('dynaconf' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
