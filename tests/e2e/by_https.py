"""What a person does in a browser by https alone: a file goes up, an application reads it."""

from dataclasses import dataclass

from tests.e2e import applications, browser, clicks
from tests.e2e.browser import Traffic
from tests.e2e.nodes import Node
from tests.e2e.people import have_person

_FILE, _TEXT = "note.txt", "uploaded by https\n"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of a person whose browser shows the Web UI of ``host``, an address or a name."""

    node: Node
    web: Traffic
    host: str
    name: str  # of pictures, of the folder and of the session

    def check_cookies(self) -> None:
        """The cookies of the session are Secure."""
        cookies = self.web.page.context.cookies()
        assert [cookie for cookie in cookies if cookie["httpOnly"]]
        assert all(cookie["secure"] for cookie in cookies if cookie["httpOnly"])

    def upload_and_open(self) -> None:
        """Upload a file, and read it in the terminal of a session; no request is by plain HTTP."""
        name, folder = self.name, f"mine-{self.name}"
        plain: list[str] = []
        ours = f"http://{self.host}"  # the page also asks for a proxy on its own machine
        self.web.page.context.on(
            "request", lambda sent: plain.append(sent.url) if sent.url.startswith(ours) else None
        )
        browser.make_folder(self.web, folder, f"{name}-folder")
        clicks.upload(self.web, folder, _FILE, _TEXT, f"{name}-upload")
        clicks.launch(self.web, f"by-{name}", [folder], f"{name}-session")
        terminal = clicks.open_application(self.web, f"by-{name}", "ttyd")
        command = f"cat {folder}/{_FILE} >{folder}/seen.txt"
        applications.type_in_terminal(terminal, "main1", command, f"{name}-terminal")
        assert terminal.url.startswith(f"https://{self.host}:")
        terminal.close()
        clicks.end(self.web, f"by-{name}", f"{name}-end")
        assert plain == []
        problems = self.web.problems()
        assert not problems, problems
        assert self._read_back(folder) == _TEXT

    def _read_back(self, folder: str) -> str:
        """What the terminal made of the uploaded file."""
        login, back = have_person(self.node), "/srv/user/back"
        words = ["vfolder", "download", folder, "seen.txt"]
        self.node.host.run(["rm", "-f", f"{back}/seen.txt"])  # of another proxy's case
        self.node.client(login, *words, cwd=back, timeout=180, api=f"https://{self.host}:8081")
        return self.node.host.read(f"{back}/seen.txt")
