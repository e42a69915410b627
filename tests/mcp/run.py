#!/usr/bin/env python3
"""Drives `toolcell serve --stdio` with the MCP client from PyPI, in both lives of the protocol.

Usage: run.py PATH/TO/toolcell

The client is installed into target/py, once. Prints a line for each check and `N passed, N failed` at the end.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

MCP = "mcp==2.3.0"
ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
HOME = TARGET / "py"


def restart_with_client():
    """Installs the client where that was not done yet, and goes on in its Python."""
    python = HOME / "bin" / "python"
    mark = HOME / MCP
    if not mark.exists():
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MCP], check=True)
        mark.touch()
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


if Path(sys.prefix).resolve() != HOME:
    restart_with_client()

import anyio  # noqa: E402
from mcp import Client, MCPError, StdioServerParameters  # noqa: E402

TOOLCELL = str(Path(sys.argv[1]).resolve())

POLICY = """
[tool.files]
from = "builtin:files"
files = [{ host = "work", guest = "/work", access = "read" }]

[tool.calc]
from = "builtin:calc"

[tool.progress]
from = "guests/progress.wasm"

[tool.stdout]
from = "guests/stdout.wasm"

[tool.spin]
from = "guests/spin.wasm"
limits = { time = "2s", cpu = "1s" }
"""
TOOLS = ["calc", "files_edit", "files_list", "files_read", "files_search", "files_write", "progress", "spin", "stdout"]

passed = failed = 0


def check(what, fine, seen=None):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(("ok      " if fine else "FAILED  ") + what + ("" if fine else f": {seen!r}"))


def build_guests():
    """The guests of the other tests, which report progress, print and spin."""
    manifest = ROOT / "tests/guests/Cargo.toml"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--examples", "--target", "wasm32-wasip2"]
    subprocess.run([*command, "--manifest-path", manifest, "--target-dir", TARGET / "guests"], check=True)
    return TARGET / "guests/wasm32-wasip2/release/examples"


def scene(home):
    """A policy, a directory to work in, and what a server needs to start there."""
    (home / "work").mkdir()
    (home / "work/a.txt").write_text("hello from a file\n")
    (home / "guests").mkdir()
    guests = build_guests()
    for name in ["progress", "stdout", "spin"]:
        (home / f"guests/{name}.wasm").write_bytes((guests / f"{name}.wasm").read_bytes())
    (home / "toolcell.toml").write_text(POLICY)
    return {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}


def server(home, env):
    command = [TOOLCELL, "serve", "--stdio", "--policy", str(home / "toolcell.toml")]
    return StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=str(home))


def text(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


async def check_mode(home, env, mode):
    async with Client(server(home, env), mode=mode, read_timeout_seconds=60) as client:
        version = client.protocol_version
        check(f"{mode}: speaks {'2025-11-25' if mode == 'legacy' else '2026-07-28'}",
              version == ("2025-11-25" if mode == "legacy" else "2026-07-28"), version)
        check(f"{mode}: says who it is", client.server_info.name == "toolcell", client.server_info)

        tools = (await client.list_tools()).tools
        names = [tool.name for tool in tools]
        check(f"{mode}: lists its tools in order", names == TOOLS, names)
        read = next((tool for tool in tools if tool.name == "files_read"), None)
        check(f"{mode}: has schemas and hints",
              read and read.input_schema["type"] == "object" and read.annotations.read_only_hint, read)

        result = await client.call_tool("files_read", {"path": "/work/a.txt"})
        check(f"{mode}: reads a granted file", not result.is_error and "hello from a file" in text(result), result)
        result = await client.call_tool("files_read", {"path": "/etc/passwd"})
        check(f"{mode}: a denied file is an error result", result.is_error and "root" not in text(result), result)
        result = await client.call_tool("files_read", {"pfad": 1})
        check(f"{mode}: wrong input is an error result", result.is_error and "path" in text(result), result)
        result = await client.call_tool("spin")
        check(f"{mode}: an exceeded limit is an error result", result.is_error and text(result), result)

        try:
            await client.call_tool("file_read", {})
            check(f"{mode}: an unknown tool is a protocol error", False)
        except MCPError as error:
            check(f"{mode}: an unknown tool is a protocol error", error.error.code == -32602, error)

        result = await client.call_tool("stdout", {"times": 4})
        check(f"{mode}: what a tool prints stays out of the protocol", text(result) == "printed", result)

        heard = []

        async def hear(done, total, message):
            heard.append((done, total, message))

        result = await client.call_tool("progress", {"steps": 3, "wait": 0}, progress_callback=hear)
        # The host may leave out some in the middle.
        fine = heard and heard[0] == (1.0, 3.0, "working") and heard[-1] == (3.0, 3.0, "working")
        check(f"{mode}: progress arrives", fine, heard)

        with anyio.move_on_after(0.3) as scope:
            await client.call_tool("progress", {"steps": 0, "wait": 20_000})
        check(f"{mode}: a call can be cancelled", scope.cancelled_caught)
        result = await client.call_tool("progress", {"steps": 0, "wait": 0})
        check(f"{mode}: and the server goes on", text(result) == "done", result)

        results = {}

        async def calculate(n):
            results[n] = text(await client.call_tool("calc", {"expression": f"{n} * {n}"}))

        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(calculate, n)
        check(f"{mode}: answers many calls at once", all(str(n * n) in results[n] for n in range(20)), results)


def check_stdout_is_pure(home, env):
    """Everything on standard output is one JSON message a line, and the server ends when its input does."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "stdout", "arguments": {"times": 9}}},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such/method"},
    ]
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    what = server(home, env)
    ended = subprocess.run([what.command, *what.args], input="not json\n" + lines, env={**os.environ, **env}, cwd=home,
                           capture_output=True, text=True, timeout=60)
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    check("raw: every line is a message", all(a.get("jsonrpc") == "2.0" for a in answers), ended.stdout)
    check("raw: answers by id", {a.get("id") for a in answers} >= {1, 2, 3}, answers)
    unknown = next((a for a in answers if a.get("id") == 3), {})
    check("raw: an unknown method is an error", unknown.get("error", {}).get("code") == -32601, unknown)
    check("raw: the end of the input ends the server", ended.returncode == 0, (ended.returncode, ended.stderr))


def check_audit(home, env):
    logs = list((home / "state").rglob("*.jsonl"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    denied = [line for line in lines if line["type"] == "call" and line["outcome"] == "denied"]
    check("audit: the denied calls are in the log", len(denied) >= 2, logs)
    check("audit: no host path is in the log", not any(str(home) in json.dumps(line) for line in lines), lines)
    verify = subprocess.run([TOOLCELL, "audit", "verify"], env={**os.environ, **env}, cwd=home, capture_output=True)
    check("audit: the log verifies", verify.returncode == 0, verify)


def main():
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        env = scene(home)
        for mode in ["auto", "legacy"]:
            anyio.run(check_mode, home, env, mode)
        check_stdout_is_pure(home, env)
        check_audit(home, env)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
