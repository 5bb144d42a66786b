"""Nothing that only POSIX has, no file name that Windows refuses, no text without an encoding."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix", "readline"}
POSIX_NAMES = {
    "os": re.compile(
        r"fork|forkpty|killpg|gete?[ug]id|set[ug]id|[gs]etsid|[gs]etpg.*|nice|wait\d?|waitid|mkfifo|l?chown|uname"
        r"|f?statvfs|getloadavg|sched_.*|posix_.*|sync|fdatasync|getrusage|[gs]etpriority|pread|pwrite|WNOHANG|W(IF|EXIT).*"
    ),
    "signal": re.compile(
        r"SIG(KILL|USR[12]|HUP|ALRM|CHLD|STOP|CONT|QUIT|PIPE|TSTP)|alarm|pause|setitimer|pthread_.*|sigwait.*"
    ),
    "select": re.compile(r"poll|epoll|kqueue"),
    "socket": re.compile(r"AF_UNIX"),
    "time": re.compile(r"clock_(get|set)time.*|tzset|CLOCK_.*"),
}
START_METHODS = {"fork", "forkserver"}
NAME_MAKERS = {"joinpath", "with_name", "with_stem", "with_suffix", "Path", "PurePath"}
MODE = re.compile(r"[rwaxbt+]{1,4}")


def posix_only(source: str) -> list[str]:
    """Uses of what Windows has not, outside of blocks that ask for the platform first."""
    return [f"{node.lineno}: {name} is POSIX only" for node, name in _posix_uses(ast.parse(source).body)]


def _posix_uses(statements: list[ast.stmt]) -> Iterator[tuple[ast.AST, str]]:
    for statement in statements:
        if isinstance(statement, ast.If) and _asks_for_platform(statement.test):
            if isinstance(statement.body[-1], (ast.Return, ast.Raise, ast.Continue)):
                return  # the rest of this block runs on one kind of platform only
            continue
        inner = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
        if isinstance(statement, ast.Try):
            inner += [each for handler in statement.handlers for each in handler.body]
        yield from _posix_uses(inner)
        for node in _own_nodes(statement):
            if name := _posix_name(node):
                yield node, name


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements inside it, and without guarded expressions."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.IfExp) and _asks_for_platform(node.test):
            continue
        stack += [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, (ast.stmt, ast.ExceptHandler))
        ]


def _asks_for_platform(test: ast.expr) -> bool:
    return bool(
        re.search(r"sys\.platform|os\.name|hasattr\((os|signal|select|socket|time)\b", ast.unparse(test))
    )


def _posix_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        return next((alias.name for alias in node.names if alias.name in POSIX_MODULES), None)
    if isinstance(node, ast.ImportFrom):
        if node.module in POSIX_MODULES:
            return node.module
        pattern = POSIX_NAMES.get(node.module or "")
        return next((alias.name for alias in node.names if pattern and pattern.fullmatch(alias.name)), None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        pattern = POSIX_NAMES.get(node.value.id)
        return ast.unparse(node) if pattern and pattern.fullmatch(node.attr) else None
    if isinstance(node, ast.Call) and _called(node) in {"get_context", "set_start_method"}:
        return next((text for text in _texts(node) if text in START_METHODS), None)
    return None


def bad_names(source: str) -> list[str]:
    """Texts with a colon, or another character that Windows refuses, where a path is put together."""
    found = []
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.AST] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.right]
        elif isinstance(node, ast.Call) and _called(node) in NAME_MAKERS:
            parts = list(node.args)
        found += [
            f"{node.lineno}: {text!r} in a file name"
            for part in parts
            for text in _texts(part)
            if re.search(r'[<>"|?*]|:(?![/\\])', text)
        ]
    return found


def unnamed_encodings(source: str) -> list[str]:
    """Text files that are opened with whatever encoding the computer happens to have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        if _opens_text(node):
            found.append(f"{node.lineno}: {ast.unparse(node)[:60]} has no encoding")
    return found


def _opens_text(call: ast.Call) -> bool:
    name = _called(call)
    if name == "read_text":
        return not call.args
    if name == "write_text":
        return len(call.args) < 2
    if name != "open":
        return False
    method = isinstance(call.func, ast.Attribute)
    modes = [word.value for word in call.keywords if word.arg == "mode"] + call.args[0 if method else 1 :][:1]
    if not modes:
        return not method or not call.args
    mode = modes[0].value if isinstance(modes[0], ast.Constant) else None
    # A method called open with other arguments opens something else, such as a microscope.
    return isinstance(mode, str) and bool(MODE.fullmatch(mode)) and "b" not in mode


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(node: ast.AST) -> list[str]:
    constants = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return [text for text in constants if isinstance(text, str)]


@pytest.mark.parametrize(
    ("guard", "source"),
    [
        pytest.param(posix_only, "import os\nos.fork()", id="call"),
        pytest.param(posix_only, "import signal, os\nos.kill(1, signal.SIGKILL)", id="signal"),
        pytest.param(posix_only, "from signal import SIGUSR1", id="imported name"),
        pytest.param(posix_only, "def f():\n    import fcntl", id="module, when called"),
        pytest.param(posix_only, "try:\n    pass\nexcept OSError:\n    os.nice(1)", id="in a handler"),
        pytest.param(posix_only, "class A:\n    def f(self):\n        return os.geteuid()", id="in a method"),
        pytest.param(posix_only, "multiprocessing.get_context('fork')", id="start method"),
        pytest.param(
            posix_only, "if sys.platform == 'linux':\n    x = 1\nos.sched_yield()", id="after a guard"
        ),
        pytest.param(bad_names, "path = folder / f'{now:%H:%M}.txt'", id="time in a name"),
        pytest.param(bad_names, "path = folder / now.strftime('%H:%M')", id="strftime in a name"),
        pytest.param(bad_names, "path.with_name('a?.txt')", id="question mark"),
        pytest.param(unnamed_encodings, "open('a.txt')", id="open"),
        pytest.param(unnamed_encodings, "path.open('w')", id="path.open"),
        pytest.param(unnamed_encodings, "path.read_text()", id="read_text"),
        pytest.param(unnamed_encodings, "path.write_text(text)", id="write_text"),
    ],
)
def test_a_guard_finds(guard, source):
    assert guard(source)


@pytest.mark.parametrize(
    ("guard", "source"),
    [
        pytest.param(posix_only, "if sys.platform != 'win32':\n    os.nice(5)", id="platform"),
        pytest.param(posix_only, "if hasattr(os, 'nice'):\n    os.nice(5)", id="hasattr"),
        pytest.param(
            posix_only, "def f():\n    if os.name == 'nt':\n        return\n    os.nice(5)", id="early return"
        ),
        pytest.param(posix_only, "n = 1 if sys.platform == 'win32' else os.nice(0)", id="expression"),
        pytest.param(posix_only, "multiprocessing.get_context('spawn')", id="spawn"),
        pytest.param(bad_names, "log(f'{now:%H:%M}')", id="a time that names no file"),
        pytest.param(bad_names, "Path('C:/Program Files')", id="drive"),
        pytest.param(unnamed_encodings, "path.open('rb')", id="bytes"),
        pytest.param(unnamed_encodings, "path.read_text('utf-8')", id="named"),
        pytest.param(unnamed_encodings, "Microscope.open(config, folder)", id="no file"),
    ],
)
def test_a_guard_leaves_alone(guard, source):
    assert guard(source) == []


@pytest.mark.parametrize("guard", [posix_only, bad_names, unnamed_encodings])
def test_the_package_and_the_library_run_on_windows(guard, findings, package_modules, library_scripts):
    assert findings(guard, package_modules + library_scripts) == []
