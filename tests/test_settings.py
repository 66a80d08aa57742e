"""Configuration: what is read, from where, and what a slip is answered with."""

from __future__ import annotations

import base64
import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors import registry
from stockpush.errors import ConfigInvalid, ExitCode
from stockpush.model import Mode
from stockpush.secret import SECRET_BYTES_MAX, Secret
from stockpush.settings import (
    ChannelSettings,
    DaemonSettings,
    Settings,
    StockSettings,
    check_channel,
    find,
)

EXAMPLE = Path(__file__).parents[1] / "config" / "stockpush.example.toml"
CONFIGURATION_PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
SHOP = '[channels.my-shop]\nconnector = "shopify"\n'
MANIFEST = {
    "shop": {"required": True, "doc": "the shop's host"},
    "token": {"required": True, "secret": True, "doc": "the token"},
    "renew": {"default": "false"},
}


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    """Return the settings of a file with this text, under this environment."""
    path = tmp_path / "stockpush.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path, environ)


def test_without_file_and_environment_everything_has_its_default():
    """An empty configuration is valid: SQLite, loopback listeners, no channel."""
    settings = Settings.load(None, {})
    assert settings.daemon.database == "sqlite:///stockpush.db"
    assert [str(settings.daemon.listen), str(settings.daemon.admin)] == [
        "127.0.0.1:8377",
        "127.0.0.1:8378",
    ]
    assert (settings.stock.exposure, settings.stock.buffer, settings.stock.on_manual_edit) == (
        "guard",
        0,
        "restore",
    )
    assert settings.channels == {}


def test_the_environment_lies_over_the_file(tmp_path: Path):
    """A variable replaces its own key and leaves the rest of the section as the file has it."""
    settings = load(
        tmp_path,
        f'[stock]\nbuffer = 2.5\n{SHOP}poll_s = 30\nshop = "a.example"\n',
        STOCKPUSH_CHANNELS__MY_SHOP__MODE="live",
        STOCKPUSH_CHANNELS__MY_SHOP__TOKEN="env:T",
        STOCKPUSH_CHANNELS__OTHER__CONNECTOR="woocommerce",
        UNRELATED="x",
    )
    shop = settings.channels["my-shop"]
    assert (shop.name, shop.mode, shop.poll_s) == ("my-shop", Mode.LIVE, 30)
    assert {key: secret.text for key, secret in shop.extra.items()} == {
        "shop": "a.example",
        "token": "env:T",
    }
    assert settings.channels["other"].connector == "woocommerce"
    assert settings.channels["other"].mode is Mode.SHADOW
    assert settings.stock.buffer == Decimal("2.5")


def test_loading_reads_no_other_environment(monkeypatch: pytest.MonkeyPatch):
    """The process's own variables have no say: the environment is an argument."""
    monkeypatch.setenv("STOCKPUSH_STOCK__BUFFER", "9")
    assert Settings.load(None, {}).stock.buffer == 0


@pytest.mark.parametrize(
    ("text", "environ", "field", "expected"),
    [
        ("[deamon]\n", {}, "deamon", "daemon"),
        ("[daemon]\nlistn = 1", {}, "daemon.listn", "listen"),
        ("", {"STOCKPUSH_DEAMON__X": "1"}, "STOCKPUSH_DEAMON__X", "daemon"),
        ("", {"STOCKPUSH_DAEMON__DATABSE": "1"}, "STOCKPUSH_DAEMON__DATABSE", "database"),
        ("", {"STOCKPUSH_NONSENSE": "1"}, "STOCKPUSH_NONSENSE", "daemon, stock, channels"),
        ("[daemon]\nlisten = 8377", {}, "daemon.listen", "host:port"),
        ('[daemon]\nlisten = "localhost"', {}, "daemon.listen", "host:port"),
        ('[daemon]\nlisten = "::1:80"', {}, "daemon.listen", "host:port"),
        ('[daemon]\nlisten = "a:65536"', {}, "daemon.listen", "host:port"),
        ('[daemon]\npublic_url = "http://example.com"', {}, "daemon.public_url", "https"),
        ('[daemon]\npublic_url = "https://u:p@example.com"', {}, "daemon.public_url", "https"),
        ('[daemon]\npublic_url = "https://example.com/?a=1"', {}, "daemon.public_url", "https"),
        ('[daemon]\npublic_url = "https://example.com:x"', {}, "daemon.public_url", "https"),
        ('[daemon]\ndatabase = "mysql://x/y"', {}, "daemon.database", "sqlite:///PATH"),
        ('[daemon]\ndatabase = "sqlite://x"', {}, "daemon.database", "sqlite:///PATH"),
        ("[daemon]\nsecret_key = []", {}, "daemon.secret_key", "text"),
        ("daemon = 1", {}, "daemon", "table"),
        ("[stock]\nbuffer = -1", {}, "stock.buffer", "0 to"),
        ("[stock]\nbuffer = true", {}, "stock.buffer", "0 to"),
        ("[stock]\nbuffer = nan", {}, "stock.buffer", "0 to"),
        ("[stock]\nbuffer = 1_000_000_001", {}, "stock.buffer", "0 to"),
        ("[stock]\ncap = -1", {}, "stock.cap", "0 to 1000000000"),
        ("[stock]\ncap = 1_000_000_001", {}, "stock.cap", "a whole number"),
        ("[stock]\ncap = 2.5", {}, "stock.cap", "a whole number"),
        ("[stock]\ncap = true", {}, "stock.cap", "a whole number"),
        ('[stock]\ncap = "none"', {}, "stock.cap", "a whole number"),
        (f"{SHOP}poll_s = 1.9", {}, "channels.my-shop.poll_s", "2 to 3600"),
        (f"{SHOP}poll_s = 3601", {}, "channels.my-shop.poll_s", "2 to 3600"),
        (f"{SHOP}poll_s = inf", {}, "channels.my-shop.poll_s", "2 to 3600"),
        (f"{SHOP}reconcile_s = 1", {}, "channels.my-shop.reconcile_s", "2 to 86400"),
        (f"{SHOP}reconcile_s = 86401", {}, "channels.my-shop.reconcile_s", "2 to 86400"),
        (f"{SHOP}requests_per_s = 0", {}, "channels.my-shop.requests_per_s", "above 0"),
        (f'{SHOP}mode = "dry"', {}, "channels.my-shop.mode", "shadow or live"),
        (f'{SHOP}base_url = "ftp://x"', {}, "channels.my-shop.base_url", "https"),
        ('[channels.Shop]\nconnector = "x"', {}, "channels.Shop.name", "lower case"),
        ("[channels.shop]\n", {}, "channels.shop.connector", "a connector"),
        ("[channels]\nshop = 1", {}, "channels.shop", "table"),
        ("", {"STOCKPUSH_CHANNELS__A__POLL_S": "x", "STOCKPUSH_CHANNELS__A__CONNECTOR": "x"},
         "STOCKPUSH_CHANNELS__A__POLL_S", "2 to 3600"),
        ("", {"STOCKPUSH_DAEMON": "x", "STOCKPUSH_DAEMON__LISTEN": "a:1"},
         "STOCKPUSH_DAEMON__LISTEN", "SECTION__KEY"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_what_was_expected(
    tmp_path: Path, text: str, environ: dict[str, str], field: str, expected: str
):
    """The error names the setting as it was written, and says what belongs there."""
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, text, **environ)
    assert caught.value.field == field
    assert expected in str(caught.value.expected)
    assert field in caught.value.message
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_cap_of_all_listings_may_be_set(tmp_path: Path):
    """In packs; without it listings show what their channels hold."""
    assert load(tmp_path, "[stock]\ncap = 20").stock.cap == 20
    assert load(tmp_path, "", STOCKPUSH_STOCK__CAP="0").stock.cap == 0
    assert load(tmp_path, "").stock.cap is None


def test_the_home_channel_is_a_configured_one(tmp_path: Path):
    """The channel that gets the last of every item is one that there is; a slip is told."""
    settings = load(tmp_path, f'[stock]\nhome_channel = "my-shop"\nguard_min = 2\n{SHOP}')
    assert (settings.stock.home_channel, settings.stock.guard_min) == ("my-shop", 2)
    with pytest.raises(ConfigInvalid, match="Did you mean my-shop") as caught:
        load(tmp_path, f'[stock]\nhome_channel = "my-shp"\n{SHOP}')
    assert caught.value.field == "stock.home_channel"


@pytest.mark.parametrize(
    "text",
    [
        '[stock]\non_manual_edit = "adopt"',
        f'{SHOP}on_manual_edit = "ask"',
    ],
)
def test_what_is_planned_is_refused_as_not_available_yet(tmp_path: Path, text: str):
    """A documented value that has not been built is told apart from a slip."""
    with pytest.raises(ConfigInvalid, match="not available yet"):
        load(tmp_path, text)


def test_all_slips_are_told_at_once(tmp_path: Path):
    """Two mistakes are both in the message, the first one in the fields."""
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, f"[stock]\nbuffer = -1\n{SHOP}poll_s = 1")
    assert "stock.buffer" in caught.value.message
    assert "channels.my-shop.poll_s" in caught.value.message


@pytest.mark.parametrize("content", [b"[daemon", b"a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes):
    """Bad TOML or another encoding is an error with the file's name, not a trace."""
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"broken\.toml"):
        Settings.load(path, {})


def test_a_named_file_that_is_absent_is_an_error(tmp_path: Path):
    """Naming a file is a wish to have it read."""
    with pytest.raises(ConfigInvalid, match=r"absent\.toml cannot be read"):
        Settings.load(tmp_path / "absent.toml", {})


def test_a_password_is_not_repeated(tmp_path: Path):
    """Neither a repr nor an error shows what stands in a database URL or a secret."""
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, '[daemon]\ndatabase = "mysql://me:canary@host/x"')
    assert "canary" not in str(caught.value.as_json())
    settings = load(
        tmp_path,
        '[daemon]\ndatabase = "postgresql://me:canary@host/x"\nsecret_key = "canary"\n'
        f'{SHOP}token = "canary"',
    )
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)
    assert "canary" not in f"{settings.daemon.secret_key}"


def test_the_file_is_looked_for_in_a_fixed_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """--config, then $STOCKPUSH_CONFIG, then the working directory, then nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stockpush.settings.PLACES", (Path("stockpush.toml"),))
    environ = {"STOCKPUSH_CONFIG": "/somewhere.toml"}
    assert find(Path("mine.toml"), environ) == Path("mine.toml")
    assert find(None, environ) == Path("/somewhere.toml")
    assert find(None, {}) is None
    (tmp_path / "stockpush.toml").touch()
    assert find(None, {}) == Path("stockpush.toml")
    assert Settings.load(None, environ) == Settings.load(None, {})


def test_the_example_is_valid_and_complete():
    """The example loads, its channels satisfy their manifests, and no setting is left out: neither
    one that every channel has nor one of any connector.
    """
    named = re.findall(r'"env:(\w+)"', EXAMPLE.read_text(encoding="utf-8"))
    environ = dict.fromkeys(named, "x" * 32)
    settings = Settings.load(EXAMPLE, environ)
    for channel in settings.channels.values():
        manifest = registry.manifest(channel.connector)
        given = check_channel(
            channel, manifest.settings, requests_per_s_max=manifest.requests_per_s
        )
        assert registry.load(channel.connector)(channel.name, manifest, given)
    written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    own = set(ChannelSettings.model_fields) - {"name", "extra"}
    assert set(written["daemon"]) == set(DaemonSettings.model_fields)
    # A new owner has no channel yet that could be home, and shows all there is.
    unset = {"home_channel", "cap"}
    assert all(f"# {name} = " in EXAMPLE.read_text(encoding="utf-8") for name in unset)
    assert {*written["stock"], *unset} == set(StockSettings.model_fields)
    assert own <= set(written["channels"]["my-shopify"])
    shown: dict[str, set[str]] = {}
    for each in written["channels"].values():
        shown.setdefault(each["connector"], set()).update(each)
    manifests = registry.manifests()
    assert shown.keys() == manifests.keys()
    for name, manifest in manifests.items():
        assert set(manifest.settings) <= shown[name], name


def test_every_key_of_the_example_has_its_meaning():
    """The line above each key is a comment; of what is not required it says the default."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"[a-z_]+ = ", line)]
    assert len(keys) > 20
    assert [lines[number] for number in keys if not lines[number - 1].startswith("# ")] == []
    woo = lines.index("[channels.my-woo]")
    for number in keys:
        start = next(
            above for above in range(number - 1, 0, -1) if not lines[above].startswith("#")
        )
        meaning = " ".join(lines[start + 1 : number])
        assert number > woo or "Default: " in meaning or "Required." in meaning, lines[number]


def test_the_page_on_configuration_names_every_key():
    """docs/configuration.md has every setting, those of the connectors included."""
    page = CONFIGURATION_PAGE.read_text(encoding="utf-8")
    keys = {
        *DaemonSettings.model_fields,
        *StockSettings.model_fields,
        *ChannelSettings.model_fields,
        *(key for manifest in registry.manifests().values() for key in manifest.settings),
    } - {"name", "extra"}
    assert sorted(key for key in keys if f"`{key}`" not in page) == []


# -- a channel's own settings ------------------------------------------------------------------


def channel(tmp_path: Path, text: str, **environ: str) -> ChannelSettings:
    """Return the one channel that this text configures."""
    return load(tmp_path, SHOP + text, **environ).channels["my-shop"]


def test_a_channel_gets_its_settings_with_secrets_looked_up_and_defaults(tmp_path: Path):
    """Secrets are resolved, plain settings taken as they are, numbers and truth values as text."""
    ours = channel(tmp_path, 'shop = "env:LITERAL"\ntoken = "env:T"\nrenew = true', T="geheim")
    assert check_channel(ours, MANIFEST) == {
        "shop": "env:LITERAL",
        "token": "geheim",
        "renew": "true",
    }
    ours = channel(tmp_path, 'shop = 12\ntoken = "t"\nbase_url = "https://x.example/"')
    assert check_channel(ours, MANIFEST) == {
        "shop": "12",
        "token": "t",
        "renew": "false",
        "base_url": "https://x.example",
    }


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ('shop = "a"\ntoken = "t"\nshopp = "b"', "shopp", "Did you mean shop?"),
        ('shop = "a"\ntoken = "t"\npol_s = 3', "pol_s", "Did you mean poll_s?"),
        ('token = "t"', "shop", "is missing"),
        ('shop = " "\ntoken = "t"', "shop", "is missing"),
        ('shop = "a"', "token", "is missing"),
        ('shop = "a"\ntoken = ""', "token", "is empty"),
        ('shop = "a"\ntoken = "env:NONE"', "token", "NONE, which is not set"),
        ('shop = "a"\ntoken = "t"\nrequests_per_s = 3', "requests_per_s", "above"),
    ],
)
def test_a_slip_in_a_channel_is_named(tmp_path: Path, text: str, field: str, message: str):
    """Unknown, missing and empty settings of a connector are errors that name the setting."""
    with pytest.raises(ConfigInvalid) as caught:
        check_channel(channel(tmp_path, text), MANIFEST, requests_per_s_max=2.0)
    assert caught.value.field == f"channels.my-shop.{field}"
    assert message in caught.value.message


# -- secrets -----------------------------------------------------------------------------------


def test_a_secret_is_found_where_it_is_said_to_be(tmp_path: Path):
    """A literal, a variable, a file and a systemd credential; one line break is not part of it."""
    (tmp_path / "token").write_text("geheim\r\n", encoding="utf-8")
    environ = {"T": "geheim", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for text in ("geheim", "env:T", f"file:{tmp_path}/token", "credential:token"):
        assert Secret("daemon.admin_token", text, environ).resolve() == "geheim"
    assert Secret("x", "sk:with:colons", {}).resolve() == "sk:with:colons"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "env:EMPTY",
        "env:ABSENT",
        "env:",
        "file:absent",
        "file:",
        "file:/",
        "file:nul\0byte",
        "file:{folder}/empty",
        "file:{folder}/binary",
        "file:{folder}/large",
        "credential:absent",
        "credential:../empty",
        "credential:",
    ],
)
def test_a_secret_that_is_missing_or_empty_is_an_error(tmp_path: Path, text: str):
    """No lookup ends in an empty secret: each failure names the setting."""
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"a" * (SECRET_BYTES_MAX + 1))
    environ = {"EMPTY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(ConfigInvalid, match=r"^daemon\.secret_key ") as caught:
        Secret("daemon.secret_key", text.format(folder=tmp_path), environ).resolve()
    assert caught.value.field == "daemon.secret_key"


def test_a_variable_that_is_not_set_is_what_to_set():
    """The next command is about the variable that the setting names."""
    with pytest.raises(ConfigInvalid) as caught:
        Secret("channels.my-shop.token", "env:SHOP_TOKEN", {}).resolve()
    assert caught.value.next == "export SHOP_TOKEN=..."


def test_a_credential_without_a_service_manager_says_so():
    """Outside systemd there is no credentials directory."""
    with pytest.raises(ConfigInvalid, match="no service manager"):
        Secret("daemon.secret_key", "credential:key", {}).resolve()


def test_the_daemon_has_its_key_and_token(tmp_path: Path):
    """Both are looked up when asked for; a short token is refused."""
    key = base64.urlsafe_b64encode(bytes(range(32))).decode()
    settings = load(
        tmp_path, '[daemon]\nsecret_key = "env:K"\nadmin_token = "env:T"', K=key, T="t" * 16
    )
    assert settings.daemon.resolved_secret_key() == bytes(range(32))
    assert settings.daemon.resolved_admin_token() == "t" * 16
    with pytest.raises(ConfigInvalid, match="too short"):
        load(tmp_path, '[daemon]\nadmin_token = "short"').daemon.resolved_admin_token()
    for ask in (DaemonSettings().resolved_secret_key, DaemonSettings().resolved_admin_token):
        with pytest.raises(ConfigInvalid, match="is missing"):
            ask()


@given(
    st.dictionaries(
        st.sampled_from(["daemon", "stock", "channels", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.dictionaries(
                st.sampled_from(["listen", "buffer", "a", "A b", "connector", "poll_s"]), inner
            ),
            max_leaves=8,
        ),
    )
)
def test_no_tree_of_settings_ends_in_a_trace(tree: dict[str, object]):
    """Whatever a file holds, loading ends in settings or in a `ConfigInvalid`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stockpush.settings.read_file", lambda _path: tree)
        try:
            settings = Settings.load(Path("x"), {})
        except ConfigInvalid:
            return
        assert set(tree) <= {"daemon", "stock", "channels"}
        assert isinstance(settings, Settings)
