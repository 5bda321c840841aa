"""The admin address: health, metrics, status, reload and drain, on a listener of its own (contract section 12).

It asks the running gateway through `AdminSource`: one process answers for itself, a supervisor for its workers.
Nothing here takes part in judging requests, and no route can shadow it.
"""

from gateway.admin.app import admin_app
from gateway.admin.guard import AdminSettings, settings_for
from gateway.admin.local import Local
from gateway.admin.serve import AdminServer, bind_admin
from gateway.admin.source import AdminCall, AdminSource, Check, Reloaded
from gateway.admin.token import TOKEN_FILE, make_local_token
from gateway.admin.workers import Worker, Workers, worker_app

__all__ = [
    "TOKEN_FILE",
    "AdminCall",
    "AdminServer",
    "AdminSettings",
    "AdminSource",
    "Check",
    "Local",
    "Reloaded",
    "Worker",
    "Workers",
    "admin_app",
    "bind_admin",
    "make_local_token",
    "settings_for",
    "worker_app",
]
