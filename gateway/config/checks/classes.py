"""Classes of data: what they require can be met together with what each of their routes requires itself."""

from gateway.config.checks.references import known
from gateway.config.checks.report import Report
from gateway.config.checks.routes import judge_requires
from gateway.config.classes import clashes
from gateway.config.schema import Config
from gateway.config.tree import Path


def check(config: Config, report: Report) -> None:
    """Every class, and every route that has one."""
    for name, held in config.classes.items():
        path: Path = ("classes", name, "requires")
        judge_requires(report, path, held.requires)
        if held.requires.posture is not None:
            known(report, (*path, "posture"), held.requires.posture, "posture", config.posture)
        if not held.requires.asked() and not report.lost_in("classes", name):
            report.warn(("classes", name), f"the class {name} requires nothing")
    for index, route in enumerate(config.routes):
        if route.classification is None:
            continue
        here: Path = ("routes", index, "classification")
        known(report, here, route.classification, "classes", config.classes)
        of_class = config.classes.get(route.classification)
        if of_class is None:
            continue
        if route.public and of_class.requires.asked():
            report.error(
                here, f"a public route asks for no credential, and the class {route.classification} requires one"
            )
        for key in clashes(route.requires, of_class.requires) if route.requires is not None else ():
            hint = f"the class requires it in line {of_class.requires.where.line}"
            report.error(("routes", index, "requires", key), f"no request meets this and its class's {key}", hint)
