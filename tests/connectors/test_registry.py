"""The registry: manifests are checked data, modules are imported only when asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stockpush.connectors import registry
from stockpush.errors import ConfigInvalid

MANIFESTS = Path(registry.__file__).parent


def test_every_manifest_is_valid_and_carries_its_files_name() -> None:
    """Each TOML beside the registry is found under its own name, in order."""
    found = registry.manifests()
    assert list(found) == sorted(path.stem for path in MANIFESTS.glob("*.toml"))
    assert "shopify" in found
    for name, manifest in found.items():
        assert manifest.name == name
        assert manifest.source


def test_the_shopify_manifest_says_how_it_is_written() -> None:
    """What the engine acts on: compare-and-set, 250 per call, ten minutes of overlap."""
    manifest = registry.manifest("shopify")
    assert manifest.write == "compare_and_set"
    assert (manifest.batch_max, manifest.read_max) == (250, 250)
    assert manifest.poll_overlap_s >= 600
    assert {name for name, row in manifest.settings.items() if row.get("secret")} == {
        "access_token",
        "client_secret",
        "refresh_token",
        "webhook_secret",
        "webhook_secret_previous",
    }


def test_an_unknown_connector_names_the_nearest_one() -> None:
    """A slip in the configuration is answered with what was probably meant."""
    with pytest.raises(ConfigInvalid, match="Did you mean 'shopify'") as caught:
        registry.load("shopfiy")
    assert caught.value.field == "connector"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("batch_max = 250", "batch_mx = 250"), "batch_mx"),
        (("deadline_s = 20", ""), "deadline_s"),
        (('write = "compare_and_set"', 'write = "blind"'), "write"),
        (("read_max = 250", "read_max = 0"), "read_max"),
        (('name = "shopify"', 'name = "other"'), "name"),
        (("batch_max = 250", 'batch_max = "many"'), "shopify.toml"),
        (("deadline_s = 20", "deadline_s = = 20"), "shopify.toml"),
        (("secret = true", "hidden = true"), "settings.access_token.hidden"),
        (('["variant_id", "inventory_item_id"]', "[]"), "ref_fields"),
        (("burst = ", 'webhooks_need = "signing_key"\nburst = '), "webhooks_need"),
    ],
)
def test_a_wrong_manifest_names_the_key(
    tmp_path: Path, change: tuple[str, str], field: str
) -> None:
    """Unknown, missing and impossible keys are errors that name the key."""
    good = (MANIFESTS / "shopify.toml").read_text(encoding="utf-8")
    assert change[0] in good
    path = tmp_path / "shopify.toml"
    path.write_text(good, encoding="utf-8")
    registry.read_manifest(path)
    path.write_text(good.replace(change[0], change[1], 1), encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        registry.read_manifest(path)
    assert caught.value.field == field


def test_a_module_is_imported_only_when_it_is_loaded() -> None:
    """Reading the manifests imports no connector; loading one imports that one only."""
    code = (
        "import sys; from stockpush.connectors import registry; registry.manifests();"
        "assert not any(n.startswith('stockpush.connectors.shopify') for n in sys.modules);"
        "registry.load('shopify');"
        "assert 'stockpush.connectors.shopify' in sys.modules;"
        "assert 'stockpush.connectors.woocommerce' not in sys.modules"
    )
    src = str(MANIFESTS.parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": src})
