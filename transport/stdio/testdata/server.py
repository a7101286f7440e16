"""A server with the standard library only."""
import json
import os
import sys
import tempfile
import threading
import urllib.request


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def temp():
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("temporary")
        file.seek(0)
        return file.read()


def thread():
    said = []
    worker = threading.Thread(target=lambda: said.append("from a thread"))
    worker.start()
    worker.join()
    return said[0]


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as fault:
        return type(fault).__name__


TOOLS = {
    "echo": lambda args: args["text"],
    "environment": lambda args: json.dumps(dict(os.environ), sort_keys=True),
    "read": lambda args: read(args["path"]),
    "temp": lambda args: temp(),
    "thread": lambda args: thread(),
    "fetch": lambda args: fetch(args["url"]),
}


def answer(message):
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "python", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if method == "tools/call":
        try:
            return {"content": [{"type": "text", "text": TOOLS[params["name"]](params["arguments"])}]}
        except Exception as fault:  # told to the client
            return {"content": [{"type": "text", "text": repr(fault)}], "isError": True}
    return {}


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or "method" not in request:
        continue
    if request["method"] == "server/discover":
        reply = {"error": {"code": -32601, "message": "method not found"}}
    else:
        reply = {"result": answer(request)}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **reply}), flush=True)
