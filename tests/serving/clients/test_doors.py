"""Each door walked by its usual client: OpenAI's, docling's, and curl. They are an extra of their own, test-clients."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import openai
import pytest
from docling.datamodel.base_models import OutputFormat
from docling.datamodel.service.options import ConvertDocumentsOptions
from docling.service_client import DoclingServiceClient
from docling.service_client.exceptions import ServiceError
from docling_core.types.doc.document import DoclingDocument
from doorway import TOKENS, Door, Model, pdf, png

PROMPT = "<image>\n<|grounding|>Convert the document to markdown."


@pytest.fixture
def chat(serve: Door) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{serve.url}/v1", api_key="none", max_retries=0)


def asked(prompt: str, data: bytes) -> list[dict[str, object]]:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}},
                                         {"type": "text", "text": prompt}]}]  # fmt: skip


def test_a_client_of_vllms_deepseek_ocr(chat: openai.OpenAI) -> None:
    """As DeepSeek-OCR's recipe for vLLM asks, with nothing changed but the base URL."""
    answer = chat.chat.completions.create(
        model="deepseek-ai/DeepSeek-OCR", messages=asked(PROMPT, png()), max_tokens=2048, temperature=0.0,
        extra_body={"skip_special_tokens": False, "vllm_xargs": {"ngram_size": 30, "window_size": 90,
                                                                 "whitelist_token_ids": [128821, 128822]}},
    )  # fmt: skip
    assert "<|det|>" in (answer.choices[0].message.content or "") and answer.model == "endpoint"
    assert answer.usage and answer.usage.prompt_tokens > TOKENS
    assert "microfiche" in [model.id for model in chat.models.list()]


def test_a_client_that_streams(chat: openai.OpenAI) -> None:
    stream = chat.chat.completions.create(
        model="microfiche", messages=asked("Free OCR.", pdf("Streamed words.")), stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Streamed words." and chunks[-1].usage and chunks[-1].usage.completion_tokens > 0


def test_a_client_that_asks_wrongly(chat: openai.OpenAI, model: Model) -> None:
    with pytest.raises(openai.BadRequestError, match="asks for nothing that is known") as found:
        chat.chat.completions.create(model="microfiche", messages=asked("Sing!", png()))
    assert found.value.code == "prompt_not_understood"
    with pytest.raises(openai.NotFoundError):
        chat.chat.completions.create(model="gpt-9", messages=asked("", png()))
    with pytest.raises(openai.UnprocessableEntityError):
        chat.chat.completions.create(model="microfiche", messages=asked("", b"garbage"))


def test_doclings_client(serve: Door, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Heading and words.", "A second page."))
    (tmp_path / "bad.pdf").write_bytes(b"garbage")
    with DoclingServiceClient(serve.url) as client:
        assert client.health().status == "ok"
        result = client.convert(tmp_path / "a.pdf")
        assert result.status == "success" and "Heading and words." in result.document.export_to_markdown()
        job = client.submit(tmp_path / "a.pdf")
        assert "A second page." in job.result().document.export_to_text()
        results = list(client.convert_all([tmp_path / "a.pdf", tmp_path / "bad.pdf"]))
        assert [one.status for one in results] == ["success", "failure"]
        with pytest.raises(ServiceError, match="submission failed"):
            client.convert("http://127.0.0.1:9/a.pdf")


def test_docling_s_client_follows_tasks_by_websocket_and_finds_its_own_doctags(serve: Door, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Heading and words.", "A second page."))
    formats = [OutputFormat.JSON, OutputFormat.DOCTAGS]
    with DoclingServiceClient(serve.url, ws_fallback_to_poll=False) as client:
        result = client.submit(tmp_path / "a.pdf", options=ConvertDocumentsOptions(to_formats=formats)).result()
    assert result.status == "success"
    files = {"files": ("a.pdf", (tmp_path / "a.pdf").read_bytes())}
    answer = serve.client.post("/v1/convert/file", files=files, data={"to_formats": ["json", "doctags"]})
    found = answer.json()["document"]
    whole = DoclingDocument.model_validate(found["json_content"])
    assert found["doctags_content"] == whole.export_to_doctags()


def test_curl(serve: Door, tmp_path: Path) -> None:
    (tmp_path / "a b.pdf").write_bytes(pdf("By curl."))

    def curl(*given: str) -> str:
        done = subprocess.run(["curl", "-sS", *given], capture_output=True, text=True, check=True)
        return done.stdout

    job = json.loads(curl("-F", f"file=@{tmp_path}/a b.pdf", f"{serve.url}/v1/jobs"))
    assert "event: end" in curl("-N", f"{serve.url}/v1/jobs/{job['id']}/events")
    assert curl(f"{serve.url}/v1/jobs/{job['id']}/markdown") == "By curl.\n"
    assert curl("-X", "DELETE", "-w", "%{http_code}", f"{serve.url}/v1/jobs/{job['id']}") == "204"
    found = json.loads(curl("-F", f"files=@{tmp_path}/a b.pdf", "-F", "to_formats=md", f"{serve.url}/v1/convert/file"))
    assert found["document"]["md_content"] == "By curl.\n"
    refused = curl("-w", "%{http_code}", "-d", "{}", f"{serve.url}/v1/chat/completions")
    assert refused.endswith("400") and "bad_request" in refused
