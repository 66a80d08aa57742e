"""The configuration: one TOML file with the environment over it (docs/configuration.md).

Theory of operation. File and environment arrive as trees of one shape (settings_tree.py),
pydantic-settings lays one over the other, and the models below judge the result. The environment
is an argument and never read here, so that loading is a function of its inputs. Every mistake is
a `ConfigInvalid` that names the setting as the owner wrote it, what was found, what was expected,
and for an unknown key the nearest known one. A connector's own settings are not known here: they
wait in `ChannelSettings.extra` until `check_channel` holds them against the connector's manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

from stockpush.errors import ConfigInvalid
from stockpush.keys import read_secret_key
from stockpush.model import MAIN, WIRE_QUANTITY_MAX, Exposure, Mode
from stockpush.secret import Secret
from stockpush.settings_tree import PATH_VARIABLE, Shape, read_environment, read_file, shaped

PLACES = (Path("stockpush.toml"), Path("/etc/stockpush/stockpush.toml"))
"""Where the configuration file is looked for when nobody names one, in this order."""
BUFFER_MAX = 10**9
"""Largest buffer, in the item's unit."""
ADMIN_TOKEN_LENGTH_MIN = 16
"""Shortest admin token, in characters."""


class Address(NamedTuple):
    """Where a listener listens; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Answer whether `host` (no port, no brackets) is this machine itself.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("example.com")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(value: object) -> Address:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bare = host.removeprefix("[").removesuffix("]")
    if not (colon and bare and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 2**16):
        raise ValueError
    if ":" in bare and not (host.startswith("[") and host.endswith("]")):
        raise ValueError
    return Address(bare, int(port))


def _web_root(value: object) -> str:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValueError
    parts = urlsplit(value)
    host = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    if not (host and safe and bare) or parts.port == 0:
        raise ValueError
    return value.rstrip("/")


def _database(value: object) -> str:
    text = value if isinstance(value, str) else ""
    if not re.match(r"sqlite:///.|postgresql://.", text):
        raise ValueError
    return text


def _no_truth_value(value: object) -> object:
    """Return `value`, unless it is a truth value, which would be read as 0 or 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("truth_value", "is a truth value")
    return value


def _later(*names: str) -> BeforeValidator:
    """Refuse names that are documented for a later version, saying so."""

    def check(value: object) -> object:
        if value in names:
            raise PydanticCustomError("later", "is not available yet")
        return value

    return BeforeValidator(check)


_Root = Annotated[str, BeforeValidator(_web_root)]
_Buffer = Annotated[
    Decimal,
    BeforeValidator(_no_truth_value),
    Field(ge=0, le=BUFFER_MAX, allow_inf_nan=False),
]
_Cap = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=0, le=WIRE_QUANTITY_MAX)]
_Number = Annotated[float, BeforeValidator(_no_truth_value)]
_OnManualEdit = Annotated[Literal["restore"], _later("adopt", "ask")]
_ON_MANUAL_EDIT = "restore"
_BUFFER = f"a number of the item's unit, 0 to {BUFFER_MAX}"
_ROOT = "an https:// URL without query (http:// only to this machine)"
_ADDRESS = "host:port, for example 127.0.0.1:8377"


class _Section(BaseModel):
    """A table of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class DaemonSettings(_Section):
    """`[daemon]`: the database and the two listeners."""

    database: Annotated[str, BeforeValidator(_database)] = Field(
        default="sqlite:///stockpush.db",
        repr=False,
        description="sqlite:///PATH or postgresql://USER@HOST/NAME?schema=SCHEMA",
    )
    listen: Annotated[Address, BeforeValidator(_address)] = Field(
        default=Address("127.0.0.1", 8377), description=_ADDRESS
    )
    admin: Annotated[Address, BeforeValidator(_address)] = Field(
        default=Address("127.0.0.1", 8378), description=_ADDRESS
    )
    public_url: _Root | None = Field(default=None, description=_ROOT)
    secret_key: Secret | None = Field(default=None, description="file:PATH of a key made by init")
    admin_token: Secret | None = Field(
        default=None, description="file:PATH of a token made by init"
    )

    def resolved_secret_key(self) -> bytes:
        """Return the 32 bytes of the secret key; `ConfigInvalid` when there is none."""
        return read_secret_key(_present(self.secret_key, "daemon.secret_key").resolve())

    def resolved_admin_token(self) -> str:
        """Return the admin token; `ConfigInvalid` when there is none or it is too short."""
        token = _present(self.admin_token, "daemon.admin_token").resolve()
        if len(token) < ADMIN_TOKEN_LENGTH_MIN:
            raise ConfigInvalid(
                "daemon.admin_token is too short to be a secret.",
                field="daemon.admin_token",
                found=f"{len(token)} characters",
                expected=f"at least {ADMIN_TOKEN_LENGTH_MIN} characters",
                next="stockpush init",
            )
        return token


class StockSettings(_Section):
    """`[stock]`: what holds for every channel that does not say otherwise."""

    exposure: Exposure = Field(default=Exposure.GUARD, description="mirror, guard or split")
    guard_min: _Buffer = Field(default=Decimal(0), description=_BUFFER)
    home_channel: str | None = Field(default=None, description="the name of a configured channel")
    buffer: _Buffer = Field(default=Decimal(0), description=_BUFFER)
    cap: _Cap | None = Field(
        default=None, description=f"a whole number of packs, 0 to {WIRE_QUANTITY_MAX}"
    )
    on_manual_edit: _OnManualEdit = Field(default="restore", description=_ON_MANUAL_EDIT)
    hold_days: _Number = Field(default=7, ge=1, le=366, description="days, 1 to 366")


class ChannelSettings(_Section):
    """`[channels.NAME]`: one sales account.

    `buffer` and `on_manual_edit` are None where `[stock]` decides, `requests_per_s` where the
    manifest does. `extra` holds the connector's own settings by key, secret or not.
    """

    name: str = Field(
        pattern=r"^[a-z0-9-]{1,64}$", description="a name of lower case letters, digits and '-'"
    )
    connector: str = Field(min_length=1, description="a connector, for example shopify")
    mode: Mode = Field(default=Mode.SHADOW, description="shadow or live")
    poll_s: _Number = Field(default=60, ge=2, le=3600, description="seconds, 2 to 3600")
    reconcile_s: _Number = Field(default=3600, ge=2, le=86400, description="seconds, 2 to 86400")
    pool: str = Field(
        default=MAIN,
        min_length=1,
        max_length=255,
        description="the pool that feeds it, as [[locations]] of the catalogue names it",
    )
    orders_lag_s: _Number | None = Field(
        default=None, ge=0, le=600, description="seconds, 0 to 600; else what the platform needs"
    )
    buffer: _Buffer | None = Field(default=None, description=_BUFFER)
    on_manual_edit: _OnManualEdit | None = Field(default=None, description=_ON_MANUAL_EDIT)
    requests_per_s: _Number | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="requests a second, above 0, at most the platform's",
    )
    base_url: _Root | None = Field(default=None, description=_ROOT)
    extra: Mapping[str, Secret] = Field(default_factory=dict)


_CHANNEL_KEYS = tuple(key for key in ChannelSettings.model_fields if key not in {"name", "extra"})
_SHAPE = Shape(
    secrets=(("daemon", "secret_key"), ("daemon", "admin_token")), channel_keys=_CHANNEL_KEYS
)


class Settings(BaseSettings):
    """The whole configuration, checked."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, env_prefix="STOCKPUSH_"
    )

    daemon: DaemonSettings = DaemonSettings()
    stock: StockSettings = StockSettings()
    channels: Mapping[str, ChannelSettings] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None, environ: Mapping[str, str]) -> Settings:
        """Return the settings of the file at `path` with the `STOCKPUSH_` variables over it.

        `path` None means no file: what the environment says over the defaults (see `find`).
        Raises `ConfigInvalid` naming the first mistake; its message lists all of them.
        """
        from_environment, variables = read_environment(environ)
        from_file = read_file(path) if path else {}
        sources = tuple(
            InitSettingsSource(cls, init_kwargs=shaped(tree, _SHAPE, environ))
            for tree in (from_environment, from_file)
        )
        try:
            # The documented parameter for ready-made sources is missing from the type's signature.
            settings = cls(_build_sources=(sources, {}))  # type: ignore[call-arg]
        except ValidationError as error:
            raise _first_mistake(error, path, variables) from None
        settings._check_home(path)
        return settings

    def _check_home(self, path: Path | None) -> None:
        """Raise `ConfigInvalid` for a home channel that there is not."""
        home = self.stock.home_channel
        if home is None or home in self.channels:
            return
        near = get_close_matches(home, list(self.channels), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigInvalid(
            f"stock.home_channel is no configured channel.{hint}",
            field="stock.home_channel",
            found=home,
            expected=", ".join(self.channels) or "a channel under [channels.NAME]",
            next=f"edit {path or 'stock.home_channel'}",
        )


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the configuration file to load: `path`, else $STOCKPUSH_CONFIG, else the first of
    `PLACES` that exists, else None. A file that was named is returned whether it exists or not.
    """
    if path is not None:
        return path
    if named := environ.get(PATH_VARIABLE):
        return Path(named)
    return next((place for place in PLACES if place.is_file()), None)


def check_channel(
    channel: ChannelSettings,
    manifest_settings: Mapping[str, Mapping[str, Any]],
    *,
    requests_per_s_max: float | None = None,
) -> dict[str, str]:
    """Return the connector's settings by key, secrets looked up, defaults filled in.

    `manifest_settings` is `Manifest.settings`: key -> {required, secret, default, doc}.
    Raises `ConfigInvalid` for a key that neither the manifest nor every channel has, a required
    one that is missing or empty, a secret that cannot be had, and a rate above
    `requests_per_s_max`.
    """
    where = f"channels.{channel.name}"
    for key in channel.extra:
        if key not in manifest_settings:
            raise _unknown(f"{where}.{key}", key, [*manifest_settings, *_CHANNEL_KEYS])
    rate = channel.requests_per_s
    if rate is not None and requests_per_s_max is not None and rate > requests_per_s_max:
        raise ConfigInvalid(
            f"{where}.requests_per_s is above what {channel.connector} allows.",
            field=f"{where}.requests_per_s",
            found=rate,
            expected=f"at most {requests_per_s_max:g}",
        )
    resolved = {} if channel.base_url is None else {"base_url": channel.base_url}
    for key, about in manifest_settings.items():
        if key in resolved:
            continue
        given = channel.extra.get(key)
        if given is not None:
            resolved[key] = given.resolve() if about.get("secret") else given.text
        elif "default" in about:
            resolved[key] = about["default"]
        if about.get("required") and not resolved.get(key, "").strip():
            raise ConfigInvalid(
                f"{where}.{key} is missing.",
                field=f"{where}.{key}",
                found=None if given is None else given.text,
                expected=str(about.get("doc") or "a value"),
                next=f"set {key} under [{where}] in the configuration",
            )
    return resolved


def _present(secret: Secret | None, name: str) -> Secret:
    if secret is None:
        raise ConfigInvalid(
            f"{name} is missing.",
            field=name,
            expected="env:NAME, file:PATH or credential:NAME",
            next="stockpush init",
        )
    return secret


def _first_mistake(
    error: ValidationError, path: Path | None, variables: Mapping[tuple[str, ...], str]
) -> ConfigInvalid:
    """Return the first of the mistakes that pydantic found, with all of them in its message."""
    mistakes = [_mistake(each, variables) for each in error.errors(include_url=False)]
    first = mistakes[0]
    from_variable = first.field in variables.values()
    return ConfigInvalid(
        " ".join(mistake.message for mistake in mistakes),
        field=first.field,
        found=first.found,
        expected=first.expected,
        next=f"unset {first.field}" if from_variable else f"edit {path or first.field}",
    )


def _mistake(error: ErrorDetails, variables: Mapping[tuple[str, ...], str]) -> ConfigInvalid:
    place = tuple(str(part) for part in error["loc"])
    name = variables.get(place) or next(
        (variable for given, variable in variables.items() if given[: len(place)] == place),
        ".".join(place),
    )
    keys, expected = _known(place)
    match error["type"]:
        case "extra_forbidden":
            return _unknown(name, place[-1], keys)
        case "missing":
            return ConfigInvalid(f"{name} is missing.", field=name, expected=expected)
        case "later":
            message = f"{name}: {error['input']!r} is not available yet."
            return ConfigInvalid(message, field=name, found=error["input"], expected=expected)
        case _:
            message = f"{name} must be {expected}."
            return ConfigInvalid(
                message, field=name, found=_shown(error["input"]), expected=expected
            )


def _shown(value: object) -> str | None:
    """Return what was found as text, unless it may hold a password."""
    text = str(value) if isinstance(value, str | int | float | Decimal) else type(value).__name__
    return None if "@" in text else text


def _known(place: tuple[str, ...]) -> tuple[Iterable[str], str]:
    """Return the keys that may stand beside the last part of `place`, and what it must hold."""
    match place:
        case ("daemon", key, *_):
            known = DaemonSettings.model_fields
        case ("stock", key, *_):
            known = StockSettings.model_fields
        case ("channels", _, key, *_):
            known = ChannelSettings.model_fields
        case _:
            return Settings.model_fields, "a table of settings"
    about = known.get(key)
    return known, (about.description if about else None) or "a known setting"


def _unknown(name: str, key: str, known: Iterable[str]) -> ConfigInvalid:
    near = get_close_matches(key, list(known), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return ConfigInvalid(
        f"{name} is not a setting.{hint}",
        field=name,
        found=key,
        expected=near[0] if near else ", ".join(known),
    )
