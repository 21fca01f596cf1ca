"""What a server may answer and none should; each ends in one harmless line."""

import pytest

from keras_xcons import zoo
from keras_xcons.zoo import fetch
from tests.zoo import dripping

OK = "HTTP/1.1 200 OK\r\n"


def redirect(target, code=302):
    return f"HTTP/1.1 {code} Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"


STRANGE = {
    "ftp": redirect("ftp://127.0.0.1/card.json"),
    "file": redirect("file:///etc/passwd", 301),
    "data": redirect("data:text/plain,x", 307),
    "no scheme": redirect("javascript:alert(1)", 308),
    "brackets": redirect("http://[::1"),
    "port": redirect("http://127.0.0.1:port/", 303),
    "control": redirect("http://127.0.0.1/\x1b[2J"),
    "no host": redirect("http:///x"),
    "long host": redirect(f"http://{'a' * 70}.org/x"),
    "empty label": redirect("http://a..b/x"),
    "circle": redirect("/card.json"),
    "reason": "HTTP/1.1 403 \x1b]0;title\x07\x1b[2J\x9b\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": "\x1b[2J SSH-2.0 server\r\n",
    "status": "HTTP/1.1 9999999 \x1b[2J\r\n\r\n",
    "no status": "HTTP/1.1 \x9b2J\r\n\r\n",
    "short": f"{OK}Content-Length: 999\r\n\r\n{{}}",
    "chunk": f"{OK}Transfer-Encoding: chunked\r\n\r\n\x1b[2J\r\nx",
    "long chunk": f"{OK}Transfer-Encoding: chunked\r\n\r\n{'f' * 9000}\r\nx",
    "many headers": OK + "X: y\r\n" * 200 + "\r\n",
    "long header": f"{OK}X: {'y' * 70_000}\r\n\r\n",
    "nothing": "",
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_strange_answer_is_one_line(answer, tmp_path):
    def say(server, asked):
        yield answer.encode("latin-1")

    with dripping.serve(say, size=999) as server:
        url = f"{server.url}/card.json"
        for read in (
            lambda: zoo.info(server.url),
            lambda: fetch.text(url),
            lambda: fetch.file(url, tmp_path / "x", 999, "0" * 64),
        ):
            with pytest.raises(ConnectionError, match=url) as error:
                read()
            assert str(error.value).isprintable()
            assert len(str(error.value)) < 2100


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "\xb2", "x", ""])
def test_length_that_is_none_is_not_taken_for_one(length, tmp_path):
    def say(server, asked):
        yield f"{OK}Content-Length: {length}\r\n\r\n{{}}".encode("latin-1")

    with dripping.serve(say) as server:
        assert fetch.text(f"{server.url}/card.json") == b"{}"
        with pytest.raises(ConnectionError, match="broke off after 2 of 999 bytes"):
            fetch.file(f"{server.url}/x", tmp_path / "x", 999, "0" * 64)


@pytest.mark.parametrize("kind", ["ftp", "file", "data", "no scheme", "brackets"])
def test_redirection_that_is_not_followed_says_why(kind):
    def say(server, asked):
        yield STRANGE[kind].encode()

    with dripping.serve(say) as server:
        message = "HTTP Error 30.: it leads to '.*, and only http.s. addresses are"
        with pytest.raises(ConnectionError, match=message):
            zoo.info(server.url)


def test_redirection_to_http_is_followed(tmp_path):
    def say(server, asked):
        if asked.startswith("GET /there "):
            yield f"{OK}Content-Length: 2\r\n\r\n{{}}".encode()
        else:
            yield redirect(f"{server.url}/there").encode()

    with dripping.serve(say) as server:
        assert fetch.text(f"{server.url}/card.json") == b"{}"


@pytest.mark.parametrize("address", ["http://a..b", f"http://{'a' * 70}.org"])
def test_host_that_cannot_be_is_told_in_one_line(address, monkeypatch):
    with pytest.raises(ConnectionError, match=f"Cannot read {address}/card.json: "):
        zoo.load(address)
    monkeypatch.setenv("KERAS_XCONS_ZOO", address)
    assert zoo.list_models() == []
