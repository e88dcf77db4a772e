"""Mutation testing: does a test fail for each small change to the code? `make mutants`.

Every mutant is one change to one module, in a copy of the project. It is killed when a test
of the module's own test files fails, or does not end in time. Survivors are told, with the
score. Which mutants change nothing that can be seen is written down in
equivalent_mutants.txt, with the reason.

    python tests/mutants.py [MODULE …]
"""

from __future__ import annotations

import ast
import copy
import multiprocessing
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.txt"
WANTED = 0.95  # of the mutants that are not equivalent
TIME_LIMIT = 300  # seconds for the tests of one mutant
WORKERS = int(os.environ.get("W", "2"))

REPORT = ("wording", "build", "headline", "plugins")
# The test files of each module, those first that kill most.
TESTS: dict[str, tuple[str, ...]] = {
    "shim/budget.py": ("budget", "escalation"),
    "shim/checks/inputs.py": ("inputs",),
    "shim/delivery/responses.py": ("responses", "deliver"),
    "shim/observe/perfdata.py": ("perfdata", "plugins"),
    "shim/report/attempts.py": ("attempts", "verdict"),
    "shim/report/build.py": REPORT,
    "shim/report/clean.py": ("clean", "mask"),
    "shim/report/escapes.py": ("mask",),
    "shim/report/excerpt.py": REPORT,
    "shim/report/headline.py": ("headline",),
    "shim/report/mask.py": ("mask",),
    "shim/report/plugin_output.py": ("plugins",),
    "shim/report/wording.py": REPORT,
    "shim/supervise/attempts.py": ("attempts", "verdict"),
    "shim/supervise/capture.py": ("capture", "build", "mask"),
    "shim/supervise/escalation.py": ("escalation", "stopping"),
}

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"min": "max", "any": "all", "find": "rfind", "partition": "rpartition"}
NAMES |= {"lstrip": "rstrip", "startswith": "endswith", "removeprefix": "removesuffix"}
NAMES |= {new: old for old, new in NAMES.items()}


class Mutant(NamedTuple):
    """One change: in which module, its name there, and the module's whole text with it."""

    module: str
    name: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.module} {self.name}"


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse((ROOT / module).read_text())
    seen: dict[str, int] = {}
    for scope, node in list(_nodes(tree)):
        for replacement in _replacements(node):
            name = f"{scope}: {_shown(node)} -> {_shown(replacement)}"
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name += f" #{seen[name]}"
            _replace(tree, node, replacement)
            text = ast.unparse(ast.fix_missing_locations(tree))
            _replace(tree, replacement, node)
            yield Mutant(module, name, text)


def _nodes(tree: ast.AST, scope: str = "module") -> Iterator[tuple[str, ast.AST]]:
    """Yield what may be mutated with the name of the function or class it is in."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        children = value if isinstance(value, list) else [value]
        for position, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_docstring(child, field, position):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            inner = scope
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = child.name if scope == "module" else f"{scope}.{child.name}"
            yield scope, child
            yield from _nodes(child, inner)


def _is_docstring(node: ast.AST, field: str, position: int) -> bool:
    return (
        field == "body"
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[only]):
            new.ops = [COMPARISONS[type(only)]()]
            yield new
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield new
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            new.op = OPERATORS[type(op)]()
            yield new
        case ast.AugAssign(op=op) if type(op) in OPERATORS:
            new.op = OPERATORS[type(op)]()
            yield new
            yield ast.Pass()
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(2 * value + 1)
        case ast.Constant(value=str(value)):
            yield ast.Constant(f"XX{value}")
        case ast.Constant(value=bytes(value)):
            yield ast.Constant(b"XX" + value)
        case ast.If() | ast.IfExp():
            for value in (True, False):
                changed = copy.deepcopy(new)
                changed.test = ast.Constant(value)
                yield changed
        case ast.While():
            new.test = ast.Constant(False)
            yield new
        case ast.comprehension(ifs=[_, *_]):
            new.ifs = []
            yield new
        case ast.Return(value=ast.AST() as value) if ast.unparse(value) != "None":
            new.value = ast.Constant(None)
            yield new
        case ast.Expr() | ast.Delete():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None:
                yield ast.Slice(None, upper, new.step)
            if upper is not None:
                yield ast.Slice(lower, None, new.step)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name], new.ctx)
        case ast.Attribute(attr=name) if name in NAMES:
            new.attr = NAMES[name]
            yield new


def _replace(tree: ast.AST, target: ast.AST, replacement: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, replacement)
            elif isinstance(value, list):
                setattr(parent, field, [replacement if e is target else e for e in value])


def _shown(node: ast.AST) -> str:
    """Return the node as a line: of a statement with a body its first line."""
    match node:
        case ast.comprehension():
            return "for " + ", ".join(map(ast.unparse, node.ifs))
        case ast.Slice():
            lower, upper = (ast.unparse(end) if end else "" for end in (node.lower, node.upper))
            return f"[{lower}:{upper}]"
        case _:
            return ast.unparse(ast.fix_missing_locations(node)).split("\n")[0].strip()


class Bench:
    """A copy of the project in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        for name in ("shim", "tests", "scripts", "examples", "docs", "setup.cfg", "README.md"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.folder / name)
            else:
                shutil.copy(ROOT / name, self.folder / name)
        self._changes = 0

    def kills(self, mutant: Mutant) -> bool:
        """Tell whether a test fails for the mutant, or does not end in time."""
        path = self.folder / mutant.module
        before = path.read_text()
        self._write(path, mutant.text)
        try:
            return self.fails(mutant.module)
        finally:
            self._write(path, before)

    def fails(self, module: str) -> bool:
        """Tell whether one of the module's tests fails."""
        child = os.fork()  # what is imported already need not be imported again
        if child == 0:
            try:
                os.setsid()
                os._exit(self._run([f"tests/test_{name}.py" for name in TESTS[module]]))
            finally:
                os._exit(1)
        with os.fdopen(os.pidfd_open(child)) as ended:
            is_in_time = select.select([ended], [], [], TIME_LIMIT)[0]
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
            _, status = os.waitpid(child, 0)
        return not is_in_time or status != 0

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        # Bytecode is found by a file's time in seconds, and its size.
        self._changes += 1
        os.utime(path, (self._changes, self._changes))

    def _run(self, files: Sequence[str]) -> int:
        """Run test files until one test fails."""
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        os.environ["PYTHONPATH"] = str(self.folder)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nothing, fd)
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        return pytest.main([*options, *files], plugins=[QuickFirst()])


class QuickFirst:
    """Makes pytest begin with the tests that start no khshim, and hypothesis not shrink."""

    def pytest_sessionstart(self) -> None:
        quick = settings(phases=[Phase.explicit, Phase.generate], database=None)
        settings.register_profile("mutants", parent=quick)
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        items.sort(key=lambda item: not {"shim", "make_shim"}.isdisjoint(item.fixturenames))


def equivalent() -> dict[str, str]:
    """Return the reason by the id of each mutant that is equivalent."""
    lines = EQUIVALENT.read_text().splitlines()
    pairs = (line.split("  # ") for line in lines if line and not line.startswith("#"))
    return {name: reason for name, reason in pairs}


@cache
def _bench(folder: str) -> Bench:
    """Return this process's own bench."""
    return Bench(Path(folder, str(os.getpid())))


def _kills(folder: str, mutant: Mutant) -> bool:
    return _bench(folder).kills(mutant)


def _fails(folder: str, module: str) -> bool:
    return _bench(folder).fails(module)


def main(modules: Sequence[str]) -> int:
    """Test the mutants of the modules; return 0 where enough are killed."""
    reasons = equivalent()
    those = {module: list(mutants(module)) for module in modules}
    ids = {mutant.id for module in modules for mutant in those[module]}
    stale = [id for id in reasons if id.split()[0] in modules and id not in ids]
    for name in stale:
        print(f"no such mutant: {name}")
    tested = killed = 0
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="khshim-") as folder, fork.Pool(WORKERS) as pool:
        for module in modules:
            if pool.apply(_fails, [folder, module]):
                print(f"{module}: its tests fail without a mutant")
                return 1
            began = time.monotonic()
            chosen = [mutant for mutant in those[module] if mutant.id not in reasons]
            results = pool.map(partial(_kills, folder), chosen, chunksize=1)
            for mutant, was_killed in zip(chosen, results):
                if not was_killed:
                    print(f"survived: {mutant.id}", flush=True)
            took = time.monotonic() - began
            print(f"{module}: {sum(results)} of {len(chosen)} killed, {took:.0f} s", flush=True)
            tested, killed = tested + len(chosen), killed + sum(results)
    share = killed / max(tested, 1)
    print(f"{killed} of {tested} mutants killed: {share:.1%}; {len(reasons)} are equivalent.")
    return 0 if share >= WANTED and not stale else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or list(TESTS)))
