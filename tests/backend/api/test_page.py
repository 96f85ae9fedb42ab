# SPDX-License-Identifier: Apache-2.0
"""The page's files."""

import re
import shutil
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs_version

from backend.api.page import page_folder
from backend.store.contract.store import Store
from tests.backend.serving import Server, make_server

PLOTLY = f"/vendor/plotly-{get_plotlyjs_version()}.min.js"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small page's folder, with a file beside it that is not to be served."""
    (tmp_path / "secret.txt").write_text("secret")
    public = tmp_path / "public"
    (public / "js").mkdir(parents=True)
    (public / "index.html").write_text(
        '<!doctype html><script type="module" src="{{files}}/js/main.js"></script>'
        '<script defer src="{{plotly}}"></script>'
    )
    (public / "js" / "main.js").write_text("export {};")
    return public


@pytest.fixture
def paged(store: Store, folder: Path) -> Server:
    """Return a server with the small page."""
    return make_server(store, frontend=folder)


def scripts_of(server: Server, path: str = "/") -> list[str]:
    """Return the paths of the scripts that the page names."""
    response = server.request("GET", path)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return re.findall(r'src="([^"]*)"', response.text)


@pytest.mark.parametrize("path", ["/", "/index.html", "/vms/00000000000000a1", "/?from=now-1h"])
def test_every_view_is_the_same_page(paged: Server, path: str) -> None:
    module, plotly = scripts_of(paged, path)
    assert paged.request("GET", module).text == "export {};"
    assert plotly == PLOTLY
    assert paged.request("GET", path).content == paged.request("GET", "/").content


@pytest.mark.parametrize("path", ["/", "/js/main.js"])
def test_a_browser_asks_again_and_is_answered_that_nothing_changed(paged: Server, path: str) -> None:
    first = paged.request("GET", path)
    assert first.headers["cache-control"] == "no-cache"
    again = paged.request("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_a_changed_file_is_sent_anew(paged: Server, folder: Path) -> None:
    first = paged.request("GET", "/")
    (folder / "index.html").write_text("changed")
    again = paged.request("GET", "/", headers={"If-None-Match": first.headers["etag"]})
    assert again.text == "changed"


def test_modules_are_javascript(paged: Server) -> None:
    for path in ("/js/main.js", scripts_of(paged)[0]):
        response = paged.request("GET", path)
        assert response.headers["content-type"].startswith("text/javascript")
        assert response.text == "export {};"


def test_what_the_page_names_is_kept_for_ever(paged: Server) -> None:
    response = paged.request("GET", scripts_of(paged)[0])
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("changed", ["js/main.js", "js/other.js"])
def test_a_changed_file_changes_the_name_of_all(paged: Server, folder: Path, changed: str) -> None:
    before = scripts_of(paged)[0]
    (folder / changed).write_text("export const changed = 1;")
    after = scripts_of(paged)[0]
    assert after != before
    (folder / changed).rename(folder / "js" / "renamed.js")
    assert scripts_of(paged)[0] not in (before, after)


def test_a_name_has_the_content_that_it_was_made_of(paged: Server, folder: Path) -> None:
    path = scripts_of(paged)[0]
    (folder / "js" / "main.js").write_text("export const changed = 1;")
    # Nobody has asked for the page since.
    response = paged.request("GET", path)
    assert response.text == "export {};"
    assert "immutable" in response.headers["cache-control"]


def test_under_another_version_s_name_is_the_file_of_this_one_and_it_is_not_kept(
    paged: Server, folder: Path
) -> None:
    before = scripts_of(paged)[0]
    (folder / "js" / "main.js").write_text("export const changed = 1;")
    scripts_of(paged)
    for path in (before, "/static/" + "0" * 32 + "/js/main.js"):
        response = paged.request("GET", path)
        assert response.text == "export const changed = 1;"
        assert response.headers["cache-control"] == "no-cache"


def test_servers_with_the_same_files_have_the_same_names(
    paged: Server, folder: Path, store: Store, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    other = make_server(store, frontend=copy)
    # Before anybody has asked the other one for its page.
    response = other.request("GET", scripts_of(paged)[0])
    assert "immutable" in response.headers["cache-control"]
    assert scripts_of(other) == scripts_of(paged)


def test_a_folder_with_much_else_is_served_without_names_of_content(paged: Server, folder: Path) -> None:
    for number in range(1001):
        (folder / "js" / f"{number}.txt").touch()
    module = scripts_of(paged)[0]
    assert module == "/js/main.js"
    assert paged.request("GET", module).headers["cache-control"] == "no-cache"


def test_head_gives_the_headers_alone(paged: Server) -> None:
    for path in ("/", "/js/main.js", *scripts_of(paged)):
        response = paged.request("HEAD", path)
        assert (response.status_code, response.content) == (200, b"")


def test_plotly_is_kept_for_ever(paged: Server) -> None:
    response = paged.request("GET", PLOTLY)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"].startswith("text/javascript")
    assert "plotly.js v" in response.text[:300]


def test_plotly_is_compressed_for_whom_can_read_that(paged: Server) -> None:
    plain = paged.request("GET", PLOTLY, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = paged.request("GET", PLOTLY, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < len(plain.content) // 2
    assert packed.content == plain.content


def test_another_version_of_plotly_is_not_there(paged: Server) -> None:
    assert paged.problem("/vendor/plotly-1.0.0.min.js")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/js/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/js/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//etc/passwd",
        "/%00",
        "/js/%00main.js",
        "/%ff%fe",
        "/" + "a" * 5000,
        "/js",
        "/js/",
        "/\\..\\secret.txt",
    ],
)
def test_nothing_outside_the_folder_is_served(paged: Server, path: str) -> None:
    named = scripts_of(paged)[0].removesuffix("/js/main.js")
    for below in ("", named, "/static/" + "0" * 32):
        response = paged.request("GET", below + path)
        assert response.status_code == 404
        assert "secret" not in response.json()["title"]


def test_the_page_s_own_text_is_not_there_as_a_file(paged: Server) -> None:
    named = scripts_of(paged)[0].removesuffix("/js/main.js")
    for below in (named, "/static/" + "0" * 32):
        assert paged.problem(f"{below}/index.html")[0] == 404


def test_a_link_out_of_the_folder_leads_nowhere(paged: Server, folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent)
    named = scripts_of(paged)[0].removesuffix("/js/main.js")
    for path in ("/link.txt", "/linked/secret.txt"):
        assert paged.problem(path)[0] == 404
        assert paged.problem(named + path)[0] == 404


def test_without_a_page_the_api_is_served_all_the_same(store: Store, tmp_path: Path) -> None:
    server = make_server(store, frontend=tmp_path / "nowhere")
    assert server.problem("/") == (404, "nothing is at /")
    assert server.problem("/js/main.js")[0] == 404
    assert server.get("/healthz") == {"status": "ok"}


def test_the_page_is_public_where_data_is_not(store: Store, folder: Path) -> None:
    server = make_server(store, host="0.0.0.0", frontend=folder)
    assert server.request("GET", "/").status_code == 200
    assert server.request("GET", "/api/v1/vms").status_code == 401


def test_this_checkout_has_a_page() -> None:
    assert (page_folder() / "index.html").is_file()
