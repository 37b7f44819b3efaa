"""Every setting of the service, read from the environment and checked together.

What is missing, invalid or contradictory is named all at once in one ImproperlyConfigured, by
variable and never with its value: DATABASE_URL holds a password.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from voicemail_site.logs import LEVELS, logging_config

# Models and admin classes name their generic bases with parameters, which mypy asks for.
django_stubs_ext.monkeypatch()

_T = TypeVar("_T")

BASE_DIR = Path(__file__).resolve().parent.parent

_LOOPBACK_NAMES = "localhost,127.0.0.1,[::1]"
_MAX_PORT = 65_535
_SECRET_KEY_LENGTH = 50
_SECRET_KEY_CHARACTERS = 5
_STRICT_PIN_LENGTH = 6
_METRICS_BIND = re.compile(r"(?:[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_METRICS_TOKEN = re.compile(r"[!-~]{32,}")
_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+|[^<>@\r\n]+ <[^\s<>@]+@[^\s<>@]+>")
_SQLITE = "django.db.backends.sqlite3"
_POSTGRESQL = "django.db.backends.postgresql"


class _Reader:
    """Read variables, and collect what is wrong with them."""

    def __init__(self) -> None:
        self.env = Env()
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[..., Any], default: _T, expected: str) -> _T:
        """Read one variable; where it is invalid, note what it must be and give the default."""
        try:
            value: _T = parse(name, default)
        except EnvError:
            self.problems.append(f"{name}: must be {expected}.")
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        return self.read(name, self.env.bool, default, "true or false")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.read(name, self.env.int, default, f"a whole number, {low} to {high}")
        self.refuse_if(not low <= value <= high, f"{name}: must be {low} to {high}.")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.env.str(name, default)
        self.refuse_if(value not in choices, f"{name}: must be one of {', '.join(choices)}.")
        return value

    def listed(
        self, name: str, parse: Callable[[str], _T], expected: str, default: str = ""
    ) -> list[_T]:
        """Read words between commas."""
        words = self.env.str(name, default).split(",")
        try:
            return [parse(word.strip()) for word in words if word.strip()]
        except ValueError:
            self.problems.append(f"{name}: must be {expected}.")
            return []

    def database(self, name: str, sqlite_file: Path) -> dict[str, Any]:
        """Read the URL of a database of a kind that the service knows."""
        database: dict[str, Any] = {}
        with suppress(EnvError):
            database = self.env.dj_db_url(name, f"sqlite:///{quote(str(sqlite_file))}")
        self.refuse_if(
            database.get("ENGINE") not in (_SQLITE, _POSTGRESQL),
            f"{name}: must be a URL such as postgres://user@host:5432/name "
            "or sqlite:////path/to/file.",
        )
        return database

    def refuse_if(self, is_wrong: bool, problem: str) -> None:
        if is_wrong:
            self.problems.append(problem)

    def finish(self) -> None:
        """Raise ImproperlyConfigured with all problems, if there are any."""
        if self.problems:
            lines = "\n".join(f"  {problem}" for problem in self.problems)
            raise ImproperlyConfigured(f"The settings can't be used:\n{lines}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("An origin has a scheme and a host.")
    return text


def _public_url() -> str:
    """Give the address that links begin with; the Host header, which anybody may forge, never is.

    Where others reach the service, nobody but the operator knows it.
    """
    url: str = _reader.env.str("PUBLIC_URL", "")
    if not url and IS_LOCAL:
        host = HOST.strip("[]")
        return f"http://[{host}]:{PORT}" if ":" in host else f"http://{host}:{PORT}"
    _reader.refuse_if(
        not _is_plain_origin(url),
        "PUBLIC_URL: must be the address at which people reach the service, such as "
        "https://voicemail.example.com, without a path; only a loopback service needs none.",
    )
    _reader.refuse_if(
        SECURE_SSL_REDIRECT and url.startswith("http:"),
        "PUBLIC_URL: must begin with https:// with SECURE_SSL_REDIRECT; a link that sets a "
        "password would go over the network in the clear first.",
    )
    return url.rstrip("/")


def _is_plain_origin(url: str) -> bool:
    try:
        parts = urlsplit(_origin(url))
        is_host = parts.hostname is not None and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    return is_host and url.rstrip("/") == f"{parts.scheme}://{parts.netloc}"


def _is_made(directory: Path) -> bool:
    """Make the directory for what the service writes; it holds a database with PINs."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)


def _database_options(database: dict[str, Any], timeout_ms: int) -> dict[str, Any]:
    """Give the engine's options; ``timeout_ms`` 0 lets a statement run as long as it takes."""
    options: dict[str, Any] = database.get("OPTIONS", {})
    if database.get("ENGINE") == _SQLITE:
        return options | {
            # A transaction takes the write lock first: one that has read could not wait for it.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # Readers don't wait for writers. `synchronous` stays FULL: what was answered is kept.
            "init_command": "PRAGMA journal_mode=WAL",
        }
    given = {
        # To compile a plan takes 5 ms, and is begun for the estimate of a page in a big account.
        "jit": "off",
        "statement_timeout": timeout_ms or None,
    }
    own = [f"-c {name}={value}" for name, value in given.items() if value is not None]
    joined = " ".join([options.get("options", ""), *own]).strip()
    return options | {"options": joined} if joined else options


def _secret_key() -> str:
    key: str = _reader.env.str("SECRET_KEY", "")
    if not key and IS_LOCAL:
        # With a problem the service does not start, and VAR_DIR may be that problem.
        return "" if _reader.problems else _kept_secret_key(VAR_DIR / "secret_key")
    _reader.refuse_if(
        len(key) < _SECRET_KEY_LENGTH or len(set(key)) < _SECRET_KEY_CHARACTERS,
        f"SECRET_KEY: must be random and at least {_SECRET_KEY_LENGTH} characters long; only a "
        "service on a loopback HOST with loopback ALLOWED_HOSTS makes its own.",
    )
    return key


def _kept_secret_key(path: Path) -> str:
    """Give the key that was generated on the first start, and generate it then.

    Of processes that start at the same time one links its key into place, whole; all read that.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(_SECRET_KEY_LENGTH))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().strip()


def _metrics_port() -> int:
    """Give the port of METRICS_BIND, 0 without one."""
    found = _METRICS_BIND.fullmatch(METRICS_BIND)
    port = int(found["port"]) if found else 0
    _reader.refuse_if(
        bool(METRICS_BIND) and (not 1 <= port <= _MAX_PORT or port == PORT),
        "METRICS_BIND: must be an address and a port other than PORT, such as 10.0.0.5:9100.",
    )
    return port


_reader = _Reader()

# Where the service is, and where it keeps what it writes.

VAR_DIR: Path = _reader.env.path("VAR_DIR", BASE_DIR / "var").absolute()
_reader.refuse_if(not _is_made(VAR_DIR), "VAR_DIR: must be a directory that can be written to.")
DEBUG = _reader.flag("DEBUG", False)
HOST: str = _reader.env.str("HOST", "127.0.0.1")
PORT = _reader.number("PORT", 8000, 1, _MAX_PORT)
ALLOWED_HOSTS = _reader.listed("ALLOWED_HOSTS", str, "host names", _LOOPBACK_NAMES)
IS_LOCAL = _is_loopback(HOST) and all(map(_is_loopback, ALLOWED_HOSTS))
_reader.refuse_if(not HOST, "HOST: must be an address or name to listen on.")
_reader.refuse_if(not ALLOWED_HOSTS, "ALLOWED_HOSTS: must name at least one host.")
_reader.refuse_if(
    DEBUG and not IS_LOCAL,
    "DEBUG: must be off unless HOST and ALLOWED_HOSTS are loopback; its pages show secrets.",
)

SECRET_KEY = _secret_key()

# The database.

# Whether PostgreSQL keeps the plans of short statements (voicemail_site.statements).
DATABASE_PREPARE = _reader.flag("DATABASE_PREPARE", True)
DATABASE_STATEMENT_TIMEOUT = _reader.number("DATABASE_STATEMENT_TIMEOUT", 0, 0, 3_600_000)
_database = _reader.database("DATABASE_URL", VAR_DIR / "db.sqlite3")
DATABASES = {
    "default": _database
    | {
        "OPTIONS": _database_options(_database, DATABASE_STATEMENT_TIMEOUT),
        "CONN_MAX_AGE": _reader.number("DATABASE_CONN_MAX_AGE", 600, 0, 86_400),
        "CONN_HEALTH_CHECKS": True,
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SIMPLE_HISTORY_DATE_INDEX = False

# Proxies and TLS. The service itself speaks plain HTTP; a proxy in front of it ends TLS.

TRUSTED_PROXIES = _reader.listed(
    "TRUSTED_PROXIES", ip_network, "addresses or networks such as 10.0.0.1,10.1.0.0/16"
)
CSRF_TRUSTED_ORIGINS = _reader.listed(
    "CSRF_TRUSTED_ORIGINS", _origin, "origins such as https://voicemail.example.com"
)

# TrustedProxyMiddleware removes the header unless a trusted proxy sent it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = _reader.flag("SECURE_SSL_REDIRECT", not IS_LOCAL)
# A redirect would lose a POST to the API, and a probe of the health does not follow one.
SECURE_REDIRECT_EXEMPT = [
    r"^(webapi|restapi|api)/?$",
    r"^rng/",
    r"^asterisk/",
    r"^healthz$",
    r"^readyz$",
]
SECURE_HSTS_SECONDS = _reader.number(
    "SECURE_HSTS_SECONDS", 0 if IS_LOCAL else 31_536_000, 0, 63_072_000
)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _reader.flag("SECURE_COOKIES", not IS_LOCAL)
_reader.refuse_if(
    SECURE_SSL_REDIRECT and not TRUSTED_PROXIES,
    "SECURE_SSL_REDIRECT: needs TRUSTED_PROXIES; without a proxy that tells of TLS every page "
    "would redirect to itself for ever.",
)
PUBLIC_URL = _public_url()
SILENCED_SYSTEM_CHECKS = [
    # Other services may live under subdomains of the host; they are not ours to bind to TLS.
    "security.W005",
    "security.W021",
    # The lock belongs to the user, from whatever address; addresses have a limit of their own.
    "axes.W006",
]

# Logins, sessions and PINs.

API_SESSION_IDLE = timedelta(minutes=_reader.number("API_SESSION_IDLE_MINUTES", 60, 1, 525_600))
API_SESSION_AGE = timedelta(hours=_reader.number("API_SESSION_AGE_HOURS", 24, 1, 8_760))
_reader.refuse_if(
    API_SESSION_IDLE > API_SESSION_AGE,
    "API_SESSION_IDLE_MINUTES: must not be more than API_SESSION_AGE_HOURS, "
    "which ends a session anyway.",
)
LOGIN_FAILURE_LIMIT = _reader.number("LOGIN_FAILURE_LIMIT", 5, 1, 1_000)
LOGIN_LOCK = timedelta(minutes=_reader.number("LOGIN_LOCK_MINUTES", 10, 1, 10_080))
LOGIN_FAILURES_PER_ADDRESS = _reader.number("LOGIN_FAILURES_PER_ADDRESS", 30, 1, 100_000)

PIN_LENGTH = _reader.number("PIN_LENGTH", 6, 4, 7)
PIN_STRICT = _reader.flag("PIN_STRICT", False)
_reader.refuse_if(
    PIN_STRICT and PIN_LENGTH < _STRICT_PIN_LENGTH,
    f"PIN_LENGTH: must be at least {_STRICT_PIN_LENGTH} with PIN_STRICT; "
    "a generated PIN would break the policy.",
)

# How long a link that sets a password opens, in seconds.
PASSWORD_RESET_TIMEOUT = 86_400

# Mail. Without a host none is sent, and what would be mailed is shown instead.

EMAIL_HOST: str = _reader.env.str("EMAIL_HOST", "")
EMAIL_PORT = _reader.number("EMAIL_PORT", 587, 1, _MAX_PORT)
EMAIL_HOST_USER: str = _reader.env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = _reader.env.str("EMAIL_HOST_PASSWORD", "")
_email_security = _reader.choice("EMAIL_SECURITY", "starttls", ("starttls", "tls", "none"))
EMAIL_USE_TLS = _email_security == "starttls"
EMAIL_USE_SSL = _email_security == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = _reader.env.str("EMAIL_FROM", "")
_reader.refuse_if(
    bool(EMAIL_HOST) and not _ADDRESS.fullmatch(DEFAULT_FROM_EMAIL),
    "EMAIL_FROM: must be an address such as voicemail@example.com or "
    "Voicemail <voicemail@example.com> with EMAIL_HOST.",
)

SPOOL_ORDERS = _reader.flag("SPOOL_ORDERS", False)

JSONP_ENABLED = _reader.flag("JSONP_ENABLED", True)

# Logs.

LOG_FORMAT = _reader.choice("LOG_FORMAT", "auto", ("auto", "json", "plain"))
LOG_LEVEL = _reader.choice("LOG_LEVEL", "INFO", LEVELS)

# Metrics. Without both variables nothing is counted.

METRICS_BIND: str = _reader.env.str("METRICS_BIND", "")
METRICS_PORT = _metrics_port()
METRICS_TOKEN: str = _reader.env.str("METRICS_TOKEN", "")
_reader.refuse_if(
    bool(METRICS_TOKEN) and not _METRICS_TOKEN.fullmatch(METRICS_TOKEN),
    "METRICS_TOKEN: must be random and at least 32 characters long, without spaces.",
)
HAS_METRICS = bool(METRICS_BIND or METRICS_TOKEN)

_reader.finish()

LOGGING = logging_config(log_format=LOG_FORMAT, level=LOG_LEVEL)

# What is the same everywhere.

INSTALLED_APPS = [
    "voicemail_site.admin_site.VoicemailAdminConfig",
    # Its changepassword goes before Django's, which could not record the change.
    "voicemail_site",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "axes",
    "simple_history",
    "voicemail_site.webapi",
    "accounts",
    "voicemail",
]

MIDDLEWARE = [
    "voicemail_site.middleware.TrustedProxyMiddleware",
    "voicemail_site.middleware.RequestLogMiddleware",
    *(["voicemail_site.metrics.MetricsMiddleware"] if HAS_METRICS else []),
    "voicemail_site.middleware.ApiErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "voicemail_site.middleware.ProgramsMiddleware",
    # From here on for people's pages alone.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "voicemail_site.urls"
WSGI_APPLICATION = "voicemail_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "accounts.authentication.UserBackend",
]
PASSWORD_HASHERS = [
    # 16 MiB a hash. Argon2 would take 100 MiB in each of the server's threads at once.
    "accounts.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("auth_username", "username", "email")},
    },
    *(
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in (
            "MinimumLengthValidator",
            "CommonPasswordValidator",
            "NumericPasswordValidator",
        )
    ),
]

AXES_HANDLER = "accounts.lockout.UserLockoutHandler"
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_FAILURE_LIMIT = LOGIN_FAILURE_LIMIT
AXES_COOLOFF_TIME = LOGIN_LOCK
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "accounts.lockout.canonical_username"
# Proxies are seen through by TrustedProxyMiddleware, in one place for logs and limits.
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.client_address"
AXES_LOCKOUT_CALLABLE = "accounts.admin.locked_page"
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# The library masks only these names, and tells upper from lower case.
AXES_SENSITIVE_PARAMETERS = [
    "Password",
    "PasswordConfirm",
    "SessionId",
    "Username",
    "password",
    "username",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionIdAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}

LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["voicemail_site.formats"]

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
