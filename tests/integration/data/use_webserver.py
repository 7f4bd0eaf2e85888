"""What a browser does with the Web UI, from a host; prints what came back as JSON.

Reads {"url", "username", "password"} from standard input: logs in, asks the manager for
the volumes, makes a folder on the default one, and logs out.
"""

import http.cookiejar
import json
import sys
import urllib.error
import urllib.request

given = json.load(sys.stdin)
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))


def ask(method: str, path: str, body: object = None) -> dict[str, object]:
    """The status and body of one request; JSON where it is some."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        given["url"] + path, data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with opener.open(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return {"status": status, "body": json.loads(text)}
    except ValueError:
        return {"status": status, "body": text}


login = {"username": given["username"], "password": given["password"]}
found = {
    "page": ask("GET", "/"),
    "wrong": ask("POST", "/server/login", {**login, "password": "not-" + given["password"]}),
    "login": ask("POST", "/server/login", login),
    "hosts": ask("GET", "/func/folders/_/hosts"),
}
host = found["hosts"]["body"]
default = host.get("default") if isinstance(host, dict) else None
found["folder"] = ask("POST", "/func/folders", {"name": "first", "host": default})
found["logout"] = ask("POST", "/server/logout", {})
json.dump(found, sys.stdout)
