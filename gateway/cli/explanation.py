"""How `explain` tells a verdict: one JSON document for machines, a page at a glance for people.

The answer and the line that decides stand first; what would be enough stands last.
Both say the same: they are made from the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.cli.output import paint
from gateway.config.schema import Listener
from gateway.config.schema.units import in_words
from gateway.control.offline import DECIDING, Offline, Verdict
from gateway.model.place import Place
from gateway.model.reason import Effect
from gateway.model.trace import Stage
from gateway.stages.authorize import Judged

_COLOUR = {Effect.ALLOW: "green", Effect.ERROR: "yellow"}
_MARKS = {"ok": ("ok      ", "green"), "refused": ("refused ", "red"), "not reached": ("-       ", "dim")}


@dataclass(frozen=True, slots=True)
class Report:
    """A verdict with what is needed to tell it."""

    verdict: Verdict
    offline: Offline
    listener: Listener
    method: str
    url: str
    notes: tuple[str, ...]

    @property
    def route(self) -> str | None:
        """The name of the route; None where none matched."""
        return self.verdict.route

    def requires(self) -> list[tuple[str, str, Place, str | None]]:
        """What the route requires besides its rules: key, value, where it is stated, and by which class of data."""
        route = self.verdict.trace.route
        settings = self.offline.config.routes[route.index] if route is not None and route.index >= 0 else None
        if settings is None or settings.requires is None:
            return []
        requires = settings.requires
        return [
            (key, _value(held), requires.stated(key), settings.classification if key in requires.origins else None)
            for key, held in requires.asked().items()
        ]

    def stages(self) -> list[tuple[Stage, str, str]]:
        """Each deciding stage, its result ("ok", "refused", "not reached"), and a few words."""
        rows: list[tuple[Stage, str, str]] = []
        refused, reached = self.verdict.refused, True
        for stage in DECIDING:
            if not reached:
                rows.append((stage, "not reached", ""))
            elif refused is not None and self._refused_at is stage:
                detail = _joined(refused.reason.code, refused.detail or self._allowed)
                if stage is Stage.AUTHENTICATE:
                    detail += _shadowed(self.verdict)
                rows.append((stage, "refused", detail))
                reached = False
            elif not self._takes_part(stage):
                rows.append((stage, "ok", "nothing is asked"))
            else:
                rows.append((stage, "ok", self._detail(stage)))
        return rows

    @property
    def _refused_at(self) -> Stage:
        """A miss is found by routing, though it is answered behind the first gate."""
        trace = self.verdict.trace
        if self.verdict.at_handshake:
            return Stage.ACCEPT
        if trace.route is not None and trace.route.refusal is not None:
            return Stage.ROUTE
        return Stage.AUTHORIZE if trace.ctx is not None and trace.ctx.preflight is not None else trace.stage

    @property
    def _own(self) -> bool:
        """An address of the gateway's own, which is for everybody."""
        route = self.verdict.trace.route
        return route is not None and route.index < 0 and route.refusal is None

    @property
    def _allowed(self) -> str:
        route = self.verdict.trace.route
        return f"served here: {', '.join(route.allowed_methods)}" if route is not None and route.allowed_methods else ""

    def _takes_part(self, stage: Stage) -> bool:
        ctx = self.verdict.trace.ctx
        unasked = (ctx is not None and ctx.preflight is not None) or self._own
        if stage is Stage.POSTURE and self.verdict.trace.posture is None:
            return False
        return not (unasked and stage in (Stage.AUTHENTICATE, Stage.POSTURE, Stage.CALLER_LIMIT))

    def _detail(self, stage: Stage) -> str:
        verdict, ctx = self.verdict, self.verdict.trace.ctx
        if ctx is None:
            return ""
        match stage:
            case Stage.ACCEPT:
                return f"{ctx.method} {ctx.path} at {ctx.host}, client {ctx.client_ip}, listener {self.listener.name}"
            case Stage.ROUTE if self._own:
                return "an address of the gateway's own"
            case Stage.ROUTE:
                route = verdict.trace.route
                return f"{self.route}{' (public)' if route is not None and route.public else ''}"
            case Stage.ADDRESS_LIMIT | Stage.CALLER_LIMIT:
                return self._limits(by_address=stage is Stage.ADDRESS_LIMIT)
            case Stage.AUTHENTICATE:
                return _who(verdict) + _shadowed(verdict)
            case Stage.POSTURE:
                return _device(verdict)
        if ctx.preflight is not None:
            return f"preflight from {ctx.preflight.origin} for {ctx.preflight.method}"
        if self._own:
            return "for everybody"
        return f"{verdict.rule} allows" if verdict.rule is not None else "the route is public"

    def _limits(self, *, by_address: bool) -> str:
        trace = self.verdict.trace
        return ", ".join(self.offline.limits(trace, self.verdict.principal, by_address=by_address)) or "no limit"


def document(report: Report) -> Mapping[str, object]:
    """The JSON shape of contract section 10."""
    verdict = report.verdict
    found: dict[str, object] = {
        "effect": verdict.effect.value,
        "status": verdict.status,
        "reason": None if verdict.reason is None else verdict.reason.code,
        "route": report.route,
        "rule": verdict.rule,
        "where": place(verdict.where),
        "stages": [
            {"stage": stage.value, "result": result, "detail": detail} for stage, result, detail in report.stages()
        ],
        "requires": [
            {"key": key, "value": value, "where": place(where), "class": named}
            for key, value, where, named in report.requires()
        ],
        "rules": [_rule(judged) for judged in verdict.judged],
        "nearest": [
            {"rule": judged.rule.name, "where": place(judged.rule.where), "missing": list(judged.missing)}
            for judged in verdict.nearest
        ],
    }
    if verdict.at_handshake:
        found["at"] = "handshake"
    if report.notes:
        found["notes"] = list(report.notes)
    return found


def _rule(judged: Judged) -> Mapping[str, object]:
    rule = judged.rule
    return {
        "rule": rule.name,
        "action": rule.action.value,
        "mode": "shadow" if rule.shadow else "enforce",
        "matched": judged.matched,
        "why": judged.why,
        "where": place(rule.where),
    }


def show(report: Report) -> None:
    """Print the page for people."""
    verdict = report.verdict
    status = "" if verdict.status is None else f" {verdict.status}"
    reason = "" if verdict.reason is None else f" {verdict.reason.code}"
    colour = _COLOUR.get(verdict.effect, "red")
    print(f"{paint(verdict.effect.value.upper() + status + reason, colour)}  {report.method} {report.url}")
    deciding = verdict.rule or (f"route {report.route}" if report.route is not None else None)
    if deciding is not None:
        print(f"  decided by {paint(deciding, 'bold')}  {place(verdict.where) or ''}".rstrip())
    if verdict.at_handshake:
        print("  the TLS handshake refuses this: the client sees a closed connection, no answer")
    for note in report.notes:
        print(f"  note: {note}")
    print("\nstages")
    for stage, result, detail in report.stages():
        mark = paint(*_MARKS[result])
        print(f"  {mark} {stage.value:<18} {detail}".rstrip())
    required = report.requires()
    if required:
        print("\nrequires")
        for key, value, where, named in required:
            cause = f"  class {named}" if named is not None else ""
            print(f"           {key:<14} {value}{cause}  {paint(place(where) or '', 'dim')}".rstrip())
    if verdict.judged:
        print("\nrules")
        for judged in verdict.judged:
            _show_rule(judged, decided=judged.rule.name == verdict.rule)
    if verdict.nearest:
        print("\nnearest to being allowed")
        for judged in verdict.nearest:
            print(f"  {judged.rule.name}  {place(judged.rule.where) or ''}".rstrip())
            for missing in judged.missing:
                print(f"    {missing}")


def _show_rule(judged: Judged, *, decided: bool) -> None:
    rule = judged.rule
    mark = paint("matches ", "bold" if decided else "blue") if judged.matched else paint("-       ", "dim")
    action = f"{rule.action.value}{' (shadow)' if rule.shadow else ''}"
    print(f"  {mark} {action:<14} {rule.name}  {place(rule.where) or ''}".rstrip())
    for line in judged.missing or (judged.why,):
        print(f"           {paint(line, 'dim')}")


def _device(verdict: Verdict) -> str:
    posture = verdict.trace.posture
    if posture is None:
        return ""
    return f"device {posture.device or 'unknown'}{' (in shadow it would be refused)' if posture.shadows else ''}"


def _who(verdict: Verdict) -> str:
    principal = verdict.principal
    if principal is None or principal.anonymous:
        return "anonymous"
    proofs = [f"workload {principal.workload.id}"] if principal.workload is not None else []
    return " and ".join([*proofs, f"user {principal.user.id}"] if principal.user is not None else proofs)


def _shadowed(verdict: Verdict) -> str:
    """What became of a token of an issuer in shadow."""
    return "".join(
        f"; issuer {shadow.name} is in shadow: its token counts as not sent, and would be "
        f"{'taken' if shadow.effect is Effect.ALLOW else 'refused'}"
        for shadow in verdict.shadows
        if shadow.kind == "issuer"
    )


def _value(held: object) -> str:
    """A requirement's value as the file writes it."""
    if isinstance(held, tuple):
        return ", ".join(map(str, held))
    if isinstance(held, bool):
        return "true"
    return in_words(held) if isinstance(held, float) else str(held)


def _joined(code: str, detail: str) -> str:
    return f"{code}: {detail}" if detail else code


def place(where: Place | None) -> str | None:
    """FILE:LINE:COLUMN; None for what stands in no file."""
    return None if where is None or not where.line else str(where)
