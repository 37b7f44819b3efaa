"""How the web server runs: ``gunicorn -c voicemail_site/gunicorn_conf.py``."""

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

# A copy of its own: a worker must load the settings by itself, with the limits of wsgi.py.
_settings = runpy.run_path(str(Path(__file__).with_name("settings.py")))
_host, _port = _settings["HOST"].strip("[]"), _settings["PORT"]

wsgi_app = "voicemail_site.wsgi:application"
bind = [f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"]
if _settings["METRICS_BIND"]:
    bind.append(_settings["METRICS_BIND"])

worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
preload_app = False

# A worker that is silent for this long is replaced; a restart lets answers be finished.
timeout = 60
graceful_timeout = 30
keepalive = 5

# The longest that gunicorn allows: partners send every parameter in the query.
limit_request_line = 8190

# TrustedProxyMiddleware alone decides whose headers count.
forwarded_allow_ips = ""
forwarder_headers = ""

# RequestLogMiddleware writes the line of a request; LOGGING silences the server's own.
accesslog = None
logconfig_dict = _settings["LOGGING"]

# Nothing of ours talks to it.
control_socket_disable = True

if _settings["HAS_METRICS"]:
    # Where the workers count together; the name has the port, for services that share VAR_DIR.
    _counts = _settings["VAR_DIR"] / "metrics" / str(_port)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_counts)

    def on_starting(server: Any) -> None:
        """Forget what the workers of an earlier start counted."""
        shutil.rmtree(_counts, ignore_errors=True)
        _counts.mkdir(parents=True)

    def child_exit(server: Any, worker: Any) -> None:
        """Forget what a worker that has ended was doing; what it has counted stays."""
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # It has none.
