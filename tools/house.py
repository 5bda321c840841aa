"""House rules that no linter knows: sizes, tests that mirror the code, an attack test for every rule.

Run as `python -m tools.house`; exits 1 and names what broke. The lists of exceptions only shrink: an entry that is no
longer needed is an error too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import rules

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 330
MAX_FUNCTION_LINES = 60

# Modules (or whole folders) whose behaviour is tested elsewhere than in the mirrored file, through one front door.
TESTED_ELSEWHERE: dict[str, str] = {
    "config/checks/": "tests/config/test_errors.py",
    "config/schema/": "tests/config/test_errors.py",
    "config/defaults.py": "tests/config/test_effective.py",
    "config/faults.py": "tests/config/test_errors.py",
    "config/json_schema.py": "tests/cli/test_schema.py",
    "convert/": "tests/convert/test_imports.py",
    "convert/envoy/": "tests/convert/envoy/test_bootstrap.py",
    "convert/istio/": "tests/convert/istio/test_authorization.py",
    "config/tree.py": "tests/config/test_unbuilt.py",
    "control/build/snapshot.py": "tests/control/test_runtime.py",
    "stages/answer/documents.py": "tests/stages/answer/test_stage.py",
    "stages/forward/upload.py": "tests/stages/forward/test_transfer.py",
}
# Files and functions over the budget, each with the reason why it is better in one piece.
TOO_LARGE: dict[str, str] = {}


def sizes() -> Iterator[str]:
    """Files and functions over the budget."""
    over = set()
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            over.add(name)
            if name not in TOO_LARGE:
                yield f"{name}: {lines} lines, {MAX_FILE_LINES} at most: split it by meaning"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    over.add(f"{name}:{node.name}")
                    if f"{name}:{node.name}" not in TOO_LARGE:
                        yield f"{name}:{node.lineno}: {node.name} has {size} lines, {MAX_FUNCTION_LINES} at most"
    for name in sorted(TOO_LARGE.keys() - over):
        yield f"tools/house.py: {name} is within the budget now: take it off TOO_LARGE"


def mirror() -> Iterator[str]:
    """Modules that no test mirrors, unless the module only declares.

    A test mirrors a module by its name (`test_NAME.py`, or `test_FOLDER.py` for a folder's modules), or by importing it
    from the mirrored folder: what is one thing to its callers is tested as one.
    """
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        module = path.relative_to(ROOT / "gateway")
        if path.name.startswith("__") or not _behaves(path):
            continue
        expected = ROOT / "tests" / module.parent / f"test_{module.name}"
        beside = ROOT / "tests" / module.parent.parent / f"test_{module.parent.name}.py"
        elsewhere = TESTED_ELSEWHERE.get(str(module)) or TESTED_ELSEWHERE.get(f"{module.parent}/")
        if expected.exists() or beside.exists() or _imported(module):
            if str(module) in TESTED_ELSEWHERE:
                yield f"tools/house.py: {module} has its test now: take it off TESTED_ELSEWHERE"
        elif elsewhere is None:
            yield f"gateway/{module}: no test mirrors it ({expected.relative_to(ROOT)})"
        elif not (ROOT / elsewhere).exists():
            yield f"tools/house.py: {module} is said to be tested in a file that is not there"


def _imported(module: Path) -> bool:
    """True when a test in the folder that mirrors the module's (or in the one above) imports the module."""
    dotted = "gateway." + ".".join(module.with_suffix("").parts)
    folder = ROOT / "tests" / module.parent
    tests = [*folder.glob("test_*.py"), *folder.parent.glob("test_*.py")]
    return any(f"{dotted} import" in test.read_text(encoding="utf-8") for test in tests)


def _behaves(path: Path) -> bool:
    """True when the module has a function with a body: more than declarations."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) > 2:
            return True
    return False


def main() -> int:
    """Print every breach; 1 when there is one."""
    breaches = [*sizes(), *mirror(), *rules.gaps()]
    for breach in breaches:
        print(breach)
    if not breaches:
        print(f"house rules hold; {rules.summary()}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
