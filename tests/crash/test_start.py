"""What a start after a crash does not spend time on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from stockpush.store import SqlStore, migrations
from tests.crash.process import ENVIRONMENT

OPEN = """
import asyncio, sys
from stockpush import compose
from stockpush.store import SqlStore
async def open_and_close():
    await (await SqlStore.open(sys.argv[1])).close()
asyncio.run(open_and_close())
print(sorted({"alembic", "asyncpg"} & set(sys.modules)))
"""


def test_the_revision_that_the_program_writes_is_the_newest() -> None:
    """It is written down, so that Alembic need not be asked at each start."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_what_a_current_sqlite_database_does_not_need_is_not_imported(tmp_path: Path) -> None:
    """Alembic and the driver of PostgreSQL, a sixth of a start together."""
    url = f"sqlite:///{tmp_path}/stockpush.db"

    async def made() -> None:
        await (await SqlStore.open(url)).close()

    asyncio.run(made())
    said = subprocess.run(
        [sys.executable, "-c", OPEN, url],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[]", said
