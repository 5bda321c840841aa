"""`gateway explain --record ID`: a request of the audit log, judged by this config and told as any other.

What the record does not show is absent here, and a note says where the answer hangs on it.
"""

from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.explanation import Report
from gateway.cli.output import CannotTell
from gateway.config.schema import Config
from gateway.control.offline import Offline
from gateway.control.recorded import Recorded
from gateway.control.records import Decision, audit_files, decisions, input_names
from gateway.control.replay import Replay
from gateway.control.unsure import Undecidable


async def explain_record(config: Config, request_id: str, audit: list[Path]) -> Report:
    """Explain the recorded request as far as its record shows it. Raises CannotTell, CannotJudge, OSError."""
    files = audit_files(audit)
    decision = next((each for each in decisions(files) if each.request_id == request_id), None)
    if decision is None:
        raise CannotTell(f"no decision of a request {request_id} is recorded in {', '.join(map(str, audit))}")
    offline, replay = Offline(config), Replay(config, input_names(files))
    listener = replay.listeners(decision)[0]
    recorded = Recorded(replay.sources, decision)
    verdict = await offline.judge(
        replay.sources.connection(listener, recorded),
        recorded.head(listener),
        decision.time,
        recorded.token,
        recorded.certificate,
        decision.group("device") or None,
    )
    url = f"https://{decision.host or ''}{decision.path}"
    return Report(verdict, offline, listener, decision.method, url, await _notes(replay, decision))


async def _notes(replay: Replay, decision: Decision) -> tuple[str, ...]:
    """What was recorded, and whether the record shows enough to say what would become of it now."""
    became = f"{decision.effect}{f' {decision.reason}' if decision.reason is not None else ''}"
    by = f" by {decision.rule}" if decision.rule is not None else ""
    notes = [f"recorded as {became}{by} at {datetime.fromtimestamp(decision.time, UTC):%Y-%m-%dT%H:%M:%SZ}"]
    try:
        await replay.judge(decision)
    except Undecidable as why:
        notes.append(f"undecidable: {why}; what is told is only one of the answers")
    return tuple(notes)
