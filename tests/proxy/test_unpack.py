"""What is read beside the relay is unpacked in pieces, and never beyond a bound."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from microfiche.proxy import unpack
from microfiche.proxy.unpack import AT_ONCE, unpacking
from microfiche.proxy.usage import Listener

SAID = b'{"model":"claude-opus-5","usage":{"input_tokens":3,"output_tokens":1}}'


def brotli(data: bytes) -> bytes:
    return bytes(pytest.importorskip("brotli").compress(data, quality=5))


def zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").compress(data))


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = [("gzip", gzip.compress), ("X-Gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare),
          ("br", brotli), ("zstd", zstd), ("identity", bytes), ("", bytes)]  # fmt: skip


@pytest.mark.parametrize(("coding", "pack"), PACKED)
def test_each_coding_is_unpacked_in_pieces_of_any_size(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(SAID * 50)
    for size in (1, 7, len(packed)):
        inner = unpacking(coding)
        assert inner is not None
        assert b"".join(inner(packed[at : at + size]) for at in range(0, len(packed), size)) == SAID * 50


@pytest.mark.parametrize(("coding", "pack"), PACKED[:6])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_few_bytes_that_stand_for_many_are_not_unpacked(
    coding: str, pack: Callable[[bytes], bytes], kind: str
) -> None:
    bomb = pack(b"a\n" * (AT_ONCE // 2 + 1000))
    listener = Listener({"content-type": kind, "content-encoding": coding})
    listener.hear(bomb)
    assert listener.silent is not None and "unpacked" in listener.silent and not listener.long
    listener.hear(bomb)
    assert listener.close().usage is None


def test_a_window_that_is_too_large_is_not_kept() -> None:
    package = pytest.importorskip("zstandard")
    wide = package.ZstdCompressionParameters(window_log=27)
    packer = package.ZstdCompressor(compression_params=wide).compressobj()
    inner = unpacking("zstd")
    assert inner is not None
    with pytest.raises(package.ZstdError):
        inner(packer.compress(SAID) + packer.flush())


def test_gzip_may_have_several_members_and_something_behind_them() -> None:
    inner = unpacking("gzip")
    assert inner is not None
    assert inner(gzip.compress(SAID[:9]) + gzip.compress(b"") + gzip.compress(SAID[9:]) + b"\0\0\0") == SAID
    assert inner(b"\0" * 100) == b""
    inner = unpacking("gzip")
    assert inner is not None
    with pytest.raises(unpack.TooMuch):
        inner(gzip.compress(b"") * (unpack.MEMBERS + 1))


def test_without_a_way_to_bound_it_nothing_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        class Decompressor:
            def process(self, data: bytes) -> bytes:
                return data

    monkeypatch.setattr(unpack.importlib, "import_module", lambda name: Old)
    assert unpacking("br") is None and unpacking("gzip, br") is None and unpacking("compress") is None
