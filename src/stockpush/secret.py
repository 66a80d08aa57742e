"""A secret as the owner configures it: said outright, or where to find it.

Theory of operation. A secret setting is a literal, `env:NAME`, `file:PATH` or `credential:NAME`
(a file in systemd's $CREDENTIALS_DIRECTORY). It is looked up when it is needed, not when the
configuration is read, so that `stockpush stock` works without a channel's token. What is missing
or empty is an error, never "no secret": an empty key would verify a forger's signature. A `Secret`
never shows its text: not in a repr, not in an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stockpush.errors import ConfigInvalid

SECRET_BYTES_MAX = 64 * 1024
"""Largest file that is read as a secret."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret setting: `name` is its setting, `text` what was configured for it."""

    name: str
    text: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False, compare=False, hash=False)

    def resolve(self) -> str:
        """Return the secret itself, never empty; a file's last line break does not belong to it.

        Raises `ConfigInvalid` naming the setting and where the secret was looked for.
        """
        kind, colon, where = self.text.partition(":")
        match kind if colon else "":
            case "env":
                found = self._variable(where)
            case "file":
                found = self._file(Path(where), f"the file {where}")
            case "credential":
                found = self._credential(where)
            case _:
                found = self.text
        if not found.strip():
            raise self._invalid("is empty", "a secret that is not empty")
        return found

    def __str__(self) -> str:
        return "[secret]"

    def _variable(self, name: str) -> str:
        if name not in self.environ:
            raise self._invalid(
                f"names the environment variable {name}, which is not set",
                f"the variable {name} to be set",
                next=f"export {name}=...",
            )
        return self.environ[name]

    def _credential(self, name: str) -> str:
        folder = self.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise self._invalid(
                f"names the credential {name}, but no service manager passed credentials",
                "CREDENTIALS_DIRECTORY to be set, as systemd's LoadCredential= does",
            )
        if "/" in name or name in {"", ".", ".."}:
            raise self._invalid("does not name a credential", "a plain name after 'credential:'")
        return self._file(Path(folder) / name, f"the credential {name}")

    def _file(self, path: Path, what: str) -> str:
        try:
            with path.open("rb") as file:
                content = file.read(SECRET_BYTES_MAX + 1)
            text = content.decode()
        except OSError as error:
            raise self._invalid(
                f"names {what}, which cannot be read ({error.strerror})",
                "a file that this user can read",
            ) from error
        except ValueError as error:
            raise self._invalid(f"names {what}, which is not text", "UTF-8 text") from error
        if len(content) > SECRET_BYTES_MAX:
            raise self._invalid(f"names {what}, which is too large", f"<= {SECRET_BYTES_MAX} bytes")
        return text.removesuffix("\n").removesuffix("\r")

    def _invalid(self, what: str, expected: str, *, next: str | None = None) -> ConfigInvalid:
        return ConfigInvalid(
            f"{self.name} {what}.",
            field=self.name,
            expected=expected,
            next=next or f"set {self.name} in the configuration",
        )
