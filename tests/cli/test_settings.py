"""The settings file: what it may say, and the words in which it is refused."""

import os
from pathlib import Path

import pytest

from oomdb.errors import SettingsError
from oomdb.settings import Settings, load_settings, mask_password

COMMANDS = ("collect", "report", "db")


def load(text: str | bytes, *, commands: tuple[str, ...] = COMMANDS) -> Settings:
    Path("oomdb.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(commands=commands)


def refusal(text: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    assert load_settings(commands=COMMANDS) == Settings()


def test_a_file_that_is_named_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"nowhere.toml: the settings file cannot be read: No such file"):
        load_settings(Path("nowhere.toml"), commands=COMMANDS)


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, commands=COMMANDS)


def test_a_whole_file_is_read() -> None:
    settings = load(
        """
        [defaults]
        no-color = true
        [collect]
        time-range = "6h"
        [db.prune]
        keep-days = 90
        [clusters]
        "https://api.one.example:6443" = "one"
        "default/api-two:6443/me" = "two"
        [ephemeral]
        label = "x/y"
        name-patterns = ["test-*", "clusters-<uuid>"]
        [artifacts]
        file_mode = "0600"
        folder-mode = "700"
        [database]
        file_mode = "0640"
        """
    )
    assert settings == Settings(
        path=Path("oomdb.toml"),
        defaults={"no_color": True},
        commands={"collect": {"time_range": "6h"}, "db": {"prune": {"keep_days": 90}}},
        clusters={"https://api.one.example:6443": "one", "default/api-two:6443/me": "two"},
        ephemeral={"label": "x/y", "name_patterns": ("test-*", "clusters-<uuid>")},
        artifact_file_mode=0o600,
        artifact_folder_mode=0o700,
        database_file_mode=0o640,
    )


def test_an_unknown_table_is_refused_with_the_nearest_one() -> None:
    assert refusal("[colect]\n") == (
        "oomdb.toml: there is no table [colect]; did you mean 'collect'? "
        "Known: artifacts, clusters, collect, database, db, defaults, ephemeral, report."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch = 2", "oomdb.toml: there is no table [batch]; known: "),
        ("collect = 2", "oomdb.toml: 'collect' must be a table: write [collect] and its keys below."),
        ("[[collect]]", "'collect' must be a table"),
        (
            "[artifacts]\nfile_mod = '0640'",
            "[artifacts] has no key 'file_mod'; did you mean 'file_mode'? Known: file_mo",
        ),
        ("[artifacts]\nfile_mode = 640", '[artifacts] file_mode: must be an octal mode in quotes, such as "0640", not'),
        ("[artifacts]\nfile_mode = '0888'", "not '0888'."),
        ("[artifacts]\nfile_mode = '0044'", "'0044' locks oomdb out; the owner needs at least '0600'."),
        ("[artifacts]\nfolder_mode = '0640'", "the owner needs at least '0700'."),
        ("[clusters]\nx = 3", '[clusters] x: must be a name in quotes, such as "prod-eu", not 3.'),
        ("[clusters]\napi.one.example = 'x'", "put the server or context that begins with 'api' in quotes."),
        ("[clusters]\nx = '../../etc'", "'../../etc' cannot name a cluster"),
        ("[clusters]\nx = '..'", "cannot name a cluster"),
        ('[clusters]\nx = "a\\nb"', "'a\\nb' cannot name a cluster"),
        ("[ephemeral]\nlabel_values = [1]", "[ephemeral] label_values: must be a text or a list of texts, not [1]."),
        ("[collect]\ntime-range = '1d'\ntime_range = '2d'", "[collect] says 'time_range' twice, with - and with _"),
        ("[db.prune]\na-b = 1\na_b = 2", "[db.prune] says 'a_b' twice"),
        ("[collect\n", "oomdb.toml: not valid TOML: Expected ']'"),
        (b"[collect]\nx = '\xff'", "oomdb.toml: not UTF-8 at byte 15; save it as UTF-8."),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("x = " + "9" * 100_000, "not valid TOML"),
        (b"#" * (1 << 20) + b"#", "larger than 1 MiB"),
        ('["\\u001b[31m\\n<script>"]', "there is no table [\\x1b[31m\\n<script>]"),
    ],
)
def test_what_the_file_cannot_say_is_refused_in_plain_words(text: str | bytes, message: str) -> None:
    assert message in refusal(text)


def test_a_pipe_can_be_the_settings_file() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"[defaults]\ntz = 'UTC'\n")
        os.close(writer)
        assert load_settings(Path(f"/dev/fd/{reader}"), commands=()).defaults == {"tz": "UTC"}
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql+psycopg://me:hunter2@db:5432/oomdb", "postgresql+psycopg://me:***@db:5432/oomdb"),
        ("postgresql://me:p@ss/w:rd ?#@db/oomdb", "postgresql://me:***@db/oomdb"),
        ("postgresql://:x@db/oomdb", "postgresql://:***@db/oomdb"),
        (
            "postgresql://db/oomdb?user=me&password=a%20b&sslmode=require",
            "postgresql://db/oomdb?user=me&password=***&sslmode=require",
        ),
        ("https://api.example:6443/api?TOKEN=abc", "https://api.example:6443/api?TOKEN=***"),
        ("https://api.example:6443", "https://api.example:6443"),
        ("https://s3cr3t@git.example:8443/x.git", "https://***@git.example:8443/x.git"),
        ("HTTP://s3cr3t:x-oauth-basic@git.example/x.git", "HTTP://***@git.example/x.git"),
        ("--codeowners-repo=https://s3c@r3t@git.example/x.git", "--codeowners-repo=https://***@git.example/x.git"),
        ("https://git.example/@group/x.git", "https://git.example/@group/x.git"),
        ("ssh://git@git.example/x.git", "ssh://git@git.example/x.git"),
        ("git@git.example:x.git", "git@git.example:x.git"),
        ("sqlite:////srv/oomdb.sqlite", "sqlite:////srv/oomdb.sqlite"),
        ("/srv/me:x@y.sqlite", "/srv/me:x@y.sqlite"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, masked: str) -> None:
    assert mask_password(url) == masked
