"""The whole app on one port: Gradio holds the page, our routes stand beside it."""

import gc
import json
import re
import socket
import warnings
from itertools import pairwise

import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from fastapi.testclient import TestClient

from abc_tools import passes_gate
from ui import theme
from ui.app import bind, build_app, make_desk, make_jukebox, make_workshop, run_app
from ui.choices import Choices
from ui.first_tunes import first_tunes, write_first_tunes
from ui.library import tune_id


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    jukebox = make_jukebox(home, BookSource())
    jukebox.preparer.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        desk = make_desk(home, BookPairs(), jukebox.playback)
        app = build_app(jukebox, desk, make_workshop(home, desk, None))
        gc.collect()  # gradio leaves event loops open, which would warn in a later test
    yield TestClient(app)
    jukebox.preparer.stop()


def test_the_page_is_gradio_with_our_head_before_anything_else(client):
    page = client.get("/")
    assert page.status_code == 200
    assert '<head>\n<base href="/">' in page.text
    assert page.text.index('src="/page/theme.js"') < page.text.index("gradio_config")
    assert page.headers["content-length"] == str(len(page.content))


def test_an_address_of_a_tune_serves_the_same_page(client):
    assert client.get("/tune/abcdef").text == client.get("/").text
    assert client.get("/tune/abcdef/more").status_code == 404


def test_the_page_can_be_had_by_a_browser_that_wants_it_compressed(client):
    page = client.get("/", headers={"Accept-Encoding": "br, gzip"})
    assert '<base href="/">' in page.text


def test_the_markup_and_its_script_are_in_the_page(client):
    config = json.loads(re.search(r"gradio_config = (\{.*?\});</script>", client.get("/").text)[1])
    (props,) = [c["props"] for c in config["components"] if "html_template" in c["props"]]
    assert 'class="main-button start"' in props["html_template"]
    assert "${" not in props["html_template"]
    assert props["js_on_load"] == 'import("/page/listen.js").then((page) => page.mount(element));'


def test_nothing_of_gradio_is_advertised(client):
    config = json.loads(re.search(r"gradio_config = (\{.*?\});</script>", client.get("/").text)[1])
    assert config["footer_links"] == []
    assert config["analytics_enabled"] is False
    assert config["dependencies"] == [], "an event would be a public endpoint"


def test_the_scripts_are_served_and_asked_about_each_time(client):
    for path in ("/page/listen.js", "/player/player.js", "/page/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert "javascript" in client.get("/page/listen.js").headers["content-type"]


def test_files_outside_the_served_folders_are_not_served(client):
    for path in ("/page/../app.py", "/player/__init__.py/../../app.py", "/page/%2e%2e/app.py"):
        assert "def run_app" not in client.get(path).text


def test_a_tune_plays_through_the_whole_app(client):
    tune = client.post("/api/listen/next", json={}).json()
    assert client.get(tune["audio_url"]).content[:4] == b"fLaC"


def test_a_busy_port_is_one_line_that_names_the_option(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run_app("127.0.0.1", port, tmp_path, open_browser=False, model="base") == 1
    assert capsys.readouterr().err == (
        f"musicgen app: port {port} on 127.0.0.1: address already in use; "
        f"choose another: musicgen app --port {port + 1}\n"
    )


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("192.0.2.1", 0)])
def test_an_impossible_port_or_address_is_one_line_too(host, port):
    with pytest.raises(OSError, match="choose another: musicgen app --port") as refused:
        bind(host, port)
    assert "\n" not in str(refused.value)


def test_a_home_that_cannot_be_used_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert run_app("127.0.0.1", 0, tmp_path / "file", open_browser=False, model="base") == 1
    message = capsys.readouterr().err
    assert message.startswith("musicgen app: ") and message.endswith("--home\n")
    assert message.count("\n") == 1


def test_the_first_tunes_are_sound_and_get_a_title(tmp_path):
    assert first_tunes(tmp_path / "none.jsonl") == []
    row = {"id": "a", "abc": "X:1\nK:D\nA|\n", "model": "base", "seed": 1, "options": {}}
    (tmp_path / "one.jsonl").write_text(json.dumps({**row, "created": "2026-11-23"}) + "\n")
    (tune,) = first_tunes(tmp_path / "one.jsonl")
    assert tune.id == "a" and tune.abc.startswith("X:1\nT:The")
    assert len(first_tunes()) >= 4, "the first visit would wait for the model"
    for tune in first_tunes():
        assert tune.model == "base" and passes_gate(tune.abc)


def test_first_tunes_are_written_with_the_seeds_that_bring_them_and_in_turns(tmp_path):
    source = BookSource()
    write_first_tunes(source, tmp_path / "first.jsonl", count=4)
    tunes = first_tunes(tmp_path / "first.jsonl")
    assert all(tune.id == tune_id(source.write(Choices(), tune.seed)) for tune in tunes)
    rhythms = [tune.abc.split("R:")[1].split("\n")[0] for tune in tunes]
    assert len(rhythms) == 4 and all(a != b for a, b in pairwise(rhythms))


def test_the_pages_in_the_top_bar_exist(client):
    for name, address in theme.PAGES:
        assert client.get(address).status_code == 200
        assert f'href="{address}" aria-current=page>{name}' in theme.top_bar(name)
