"""Where requests go, with which path and which headers, and to whom a key never goes."""

from __future__ import annotations

import pytest

from microfiche.errors import UsageError
from microfiche.proxy.protocols import Vendor, route
from microfiche.proxy.upstreams import Misdirected, Upstreams, auth_kind, downward, together, upward

OWN = Upstreams()


def sent(path: str, headers: dict[str, str] | None = None, upstreams: Upstreams = OWN, method: str = "POST") -> str:
    raw, _, query = path.encode().partition(b"?")
    target = upstreams.target(route(method, raw), raw, query, headers or {})
    return target.address + target.target.decode()


@pytest.mark.parametrize(("path", "headers", "goes"), [
    ("/v1/messages?beta=true", {}, "https://api.anthropic.com/v1/messages?beta=true"),
    ("/v1/messages/count_tokens", {}, "https://api.anthropic.com/v1/messages/count_tokens"),
    ("/v1/responses", {}, "https://api.openai.com/v1/responses"),
    ("/responses/compact", {}, "https://api.openai.com/v1/responses/compact"),
    ("/v1/chat/completions", {"authorization": "Bearer sk-proj-1"}, "https://api.openai.com/v1/chat/completions"),
    ("/v1/responses", {"authorization": "Bearer ey", "chatgpt-account-id": "1"},
     "https://chatgpt.com/backend-api/codex/responses"),
    ("/v1/models", {"authorization": "Bearer ey", "chatgpt-account-id": "1", "user-agent": "codex_cli_rs/1"},
     "https://chatgpt.com/backend-api/codex/models"),
    ("/v1beta/models/gemini-4:streamGenerateContent?alt=sse&key=AIzaX", {},
     "https://generativelanguage.googleapis.com/v1beta/models/gemini-4:streamGenerateContent?alt=sse&key=AIzaX"),
    ("/v1/models?limit=1000", {"anthropic-version": "2023-06-01", "x-api-key": "k"},
     "https://api.anthropic.com/v1/models?limit=1000"),
    ("/v1/models", {"authorization": "Bearer sk-other"}, "https://api.openai.com/v1/models"),
    ("/v1/models", {"authorization": "Bearer sk-ant-oat01-x"}, "https://api.anthropic.com/v1/models"),
    ("/v1beta/files", {}, "https://generativelanguage.googleapis.com/v1beta/files"),
    ("/api/hello", {}, "https://api.anthropic.com/api/hello"),
    ("/", {"user-agent": "claude-cli/2.9"}, "https://api.anthropic.com/"),
    ("/v1/%2e%2e/admin%2Fx%3Fy", {"x-api-key": "k"}, "https://api.anthropic.com/v1/%2e%2e/admin%2Fx%3Fy"),
    ("/v1/messages/batches", {"authorization": "Bearer opaque"}, "https://api.anthropic.com/v1/messages/batches"),
    ("/v1/messages/", {"authorization": "Bearer opaque"}, "https://api.anthropic.com/v1/messages/"),
    ("/v1/%6dessages", {"authorization": "Bearer opaque"}, "https://api.anthropic.com/v1/%6dessages"),
    ("/v1/complete", {"authorization": "Bearer opaque"}, "https://api.anthropic.com/v1/complete"),
    ("/v1/embeddings", {"authorization": "Bearer opaque"}, "https://api.openai.com/v1/embeddings"),
    ("/v1/responses/resp_1", {"authorization": "Bearer opaque"}, "https://api.openai.com/v1/responses/resp_1"),
    ("/v1/models", {"authorization": "Bearer opaque", "user-agent": "OpenAI/Python 3"}, "https://api.openai.com/v1/models"),
    ("/v1/files", {"authorization": "Bearer opaque", "anthropic-beta": "files"}, "https://api.anthropic.com/v1/files"),
    ("//evil.example/v1/messages", {"x-api-key": "k"}, "https://api.anthropic.com//evil.example/v1/messages"),
])  # fmt: skip
def test_paths_and_keys_say_where_a_request_goes(path: str, headers: dict[str, str], goes: str) -> None:
    assert sent(path, headers) == goes


@pytest.mark.parametrize("named", [{}, {"openai": "http://127.0.0.1:8000/v1"}])
def test_a_chatgpt_login_goes_to_its_own_host_whatever_openai_s_is(named: dict[Vendor, str]) -> None:
    login = {"authorization": "Bearer eyJ", "chatgpt-account-id": "1"}
    for path, end in (("/v1/responses", "/responses"), ("/v1/responses/compact", "/responses/compact")):
        assert sent(path, login, Upstreams(named)) == f"https://chatgpt.com/backend-api/codex{end}"
        own = Upstreams({**named, "chatgpt": "http://127.0.0.1:9000/codex"})
        assert sent(path, login, own) == f"http://127.0.0.1:9000/codex{end}"


@pytest.mark.parametrize(("vendor", "address", "path", "goes"), [
    ("openai", "http://127.0.0.1:8000", "/v1/responses", "http://127.0.0.1:8000/v1/responses"),
    ("openai", "http://127.0.0.1:8000/v1/", "/v1/responses", "http://127.0.0.1:8000/v1/responses"),
    ("openai", "http://127.0.0.1:8000/api/v1", "/v1/chat/completions", "http://127.0.0.1:8000/api/v1/chat/completions"),
    ("openai", "http://127.0.0.1:8000/v1", "/chat/completions", "http://127.0.0.1:8000/v1/chat/completions"),
    ("anthropic", "http://h/gateway", "/v1/messages", "http://h/gateway/v1/messages"),
    ("anthropic", "http://h/v1", "/v1/messages", "http://h/v1/messages"),
    ("gemini", "http://h:1/v1beta", "/v1beta/models/m:countTokens", "http://h:1/v1beta/models/m:countTokens"),
])  # fmt: skip
def test_an_address_of_ones_own(vendor: str, address: str, path: str, goes: str) -> None:
    assert sent(path, upstreams=Upstreams({vendor: address})) == goes  # type: ignore[dict-item]


def test_with_one_address_named_what_belongs_to_nobody_goes_there() -> None:
    named = Upstreams({"openai": "http://127.0.0.1:9/v1"})
    assert sent("/version", upstreams=named, method="GET") == "http://127.0.0.1:9/v1/version"


@pytest.mark.parametrize(("path", "headers"), [
    ("/v1/chat/completions", {"authorization": "Bearer sk-ant-api03-x"}),
    ("/v1/responses", {"x-api-key": "sk-ant-api03-x"}),
    ("/v1/responses", {"authorization": "Bearer sk-proj-1", "x-goog-api-key": "whatever"}),
    ("/v1/messages", {"authorization": "Bearer sk-proj-1"}),
    ("/v1/messages?key=AIzaSy1", {}),
    ("/v1beta/models/g:generateContent", {"x-api-key": "sk-ant-api03-x"}),
    ("/v1/responses", {"authorization": "sk-ant-api03-x"}),
    ("/v1/responses", {"authorization": "Bearer  'sk-ant-api03-x'"}),
    ("/v1/responses", {"authorization": "Basic eDpzay1hbnQtYXBpMDMteA=="}),
    ("/v1/responses", together([(b"X-Api-Key", b"sk-ant-api03-x"), (b"x-api-key", b"other")])),
    ("/v1/responses", together([(b"Authorization", b"Bearer sk-ant-x"), (b"authorization", b"Bearer sk-proj-1")])),
    ("/v1/responses", {"x-litellm-key": "sk-ant-api03-x"}), ("/v1/responses", {"cookie": "a=1; key=AIzaSy1"}),
    ("/v1/messages?key=%41IzaSy1", {}), ("/v1/messages?%6bey=AIzaSy1", {}), ("/v1/messages?x=1&a=%73k-proj-1", {}),
    ("/v1/chat/completions?access_token=ya29.x", {}), ("/v1/responses/sk-ant-x", {}),
    ("/v1/models", {"authorization": "Bearer opaque"}), ("/v1/files?key=opaque", {}),
    ("/x", {"authorization": "Basic eA=="}),
])  # fmt: skip
def test_a_key_of_another_vendor_goes_nowhere(path: str, headers: dict[str, str]) -> None:
    for upstreams in (OWN, Upstreams({"openai": "http://127.0.0.1:1", "anthropic": "http://127.0.0.1:2"})):
        with pytest.raises(Misdirected) as error:
            sent(path, headers, upstreams)
        assert not any(key in str(error.value) for key in ("sk-", "AIza", "whatever"))


def test_a_vendor_that_speaks_anothers_dialect_gets_its_own_key() -> None:
    compatible = Upstreams({"openai": "https://api.anthropic.com/v1"})
    assert sent("/v1/chat/completions", {"authorization": "Bearer sk-ant-x"}, compatible).startswith("https://api.anth")


@pytest.mark.parametrize("bad", [
    "", "api.openai.com", "ftp://x", "http://", "https://user:secret@h/v1", "http://h?key=secret", "http://[::1",
    "http://h:x", "http://h:99999", "http://h:0", "http://h:-1", "http://exa mple", "http://h/a b", "http://h\t/",
    "http://h/\n", "http://\xe9.example", "http://h/\ud800", "http://h<x>", "http://h\\x", "http:///v1", "http://:80",
])  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(bad: str) -> None:
    with pytest.raises(UsageError) as error:
        Upstreams({"openai": bad})
    assert "openai" in str(error.value) and "secret@" not in str(error.value)


def test_headers_of_the_hop_end_here_and_all_others_go_on() -> None:
    given = [(b"Host", b"x"), (b"Connection", b"keep-alive, X-Hop"), (b"x-hop", b"1"), (b"Keep-Alive", b"5"),
             (b"TE", b"trailers"), (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3"), (b"Upgrade", b"h2c"),
             (b"Proxy-Authorization", b"Basic x"), (b"Expect", b"100-continue"), (b"X-Microfiche", b"off"),
             (b"X-Stainless-Lang", b"js"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"Cookie", b"a=b")]  # fmt: skip
    stay = [(b"X-Stainless-Lang", b"js"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"Cookie", b"a=b")]
    assert upward(given) == stay
    answer = [(b"Connection", b"close"), (b"content-length", b"3"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    assert downward(answer) == answer[1:]


def test_how_a_client_proves_itself_is_said_without_the_key() -> None:
    assert auth_kind({"x-api-key": "k"}, b"") == "x-api-key"
    assert auth_kind({"authorization": "Bearer sk-ant-oat01-k"}, b"") == "OAuth"
    assert auth_kind({"authorization": "Bearer k", "chatgpt-account-id": "1"}, b"") == "ChatGPT login"
    assert auth_kind({"authorization": "Bearer k", "x-api-key": "k"}, b"") == "x-api-key and Bearer"
    assert auth_kind({}, b"alt=sse&key=k") == "Google key" and auth_kind({}, b"monkey=k") == "none"
