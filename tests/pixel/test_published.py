"""Published fine-tuned models load, and give the logits that the published code computes from the same tensors."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from microfiche.errors import CheckpointError
from microfiche.pixel.checkpoint import load_tuned, official_name, save_tuned
from microfiche.pixel.examples import Labelled, Sentence
from microfiche.pixel.model import PixelConfig, PixelEncoder
from microfiche.pixel.published import class_last
from microfiche.pixel.tasks import TASKS, head_of
from microfiche.pixel.tuned import Setup, Tuned

D, LABELS = 16, ("bad", "good", "so-so")
SIZES = PixelConfig(width=D, layers=2, heads=2, mlp=24, patches=36, decoder_width=D, decoder_heads=2)
HEADS = {
    "mean": {"pooler.linear": (D, D), "pooler.ln": (D,), "classifier": (3, D)},
    "cls": {"pooler.linear": (D, D), "pooler.ln": (D,), "classifier": (3, D), "vit.pooler.dense": (D, D)},
    "tag": {"classifier": (3, D)},
    "answer": {"qa_outputs": (2, D)},
    "parse": {"vit.pooler.dense": (D, D)},
}


def published(to: Path, kind: str, labels: tuple[str, ...] = LABELS) -> dict[str, Tensor]:
    """Writes a published fine-tuned model of random weights, and returns its tensors."""
    torch.manual_seed(0)
    encoder = PixelEncoder(SIZES).state_dict()
    tensors = {official_name(f"encoder.{name}"): torch.randn_like(tensor) / 3 for name, tensor in encoder.items()}
    for name, shape in HEADS[kind].items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.randn(shape), torch.randn(shape[:1])
    if kind == "parse":
        tensors["biaffine_arcs.weight"] = torch.randn(1, D + 1, D)
        tensors["biaffine_rels.weight"] = torch.randn(len(labels), D + 1, D + 1)
    save_file(tensors, to / "model.safetensors")
    said = {
        "architectures": ["PIXELFor…"], "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "num_channels": 3, "image_size": [16, 16 * 36], "patch_size": 16,
        "id2label": {str(i): label for i, label in enumerate(labels)},
    }  # fmt: skip
    (to / "config.json").write_text(json.dumps(said))
    return tensors


def linear(tensors: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def loaded(path: Path) -> tuple[Tuned, Any]:
    model, scores = load_tuned(path / "model.safetensors")
    assert scores == {} and model.setup.published
    return model, TASKS[model.setup.task](model.setup, 3)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mean", "cls"])
def test_a_classifier(kind: str, tmp_path: Path) -> None:
    tensors = published(tmp_path, kind)
    model, task = loaded(tmp_path)
    assert (model.setup.task, model.setup.pooling, model.setup.labels) == ("classify", kind, LABELS)
    examples = [Labelled(("A strip",), ""), Labelled(("and a longer one", "of two"), "")]
    seen, attended = model.seen([task.strip(example) for example in examples])
    if kind == "cls":
        pooled = torch.tanh(linear(tensors, "vit.pooler.dense", seen[:, 0]))
    else:
        x = F.gelu(linear(tensors, "pooler.linear", seen[:, 1:]))
        x = F.layer_norm(x, (D,), tensors["pooler.ln.weight"], tensors["pooler.ln.bias"], 1e-12)
        pooled = torch.stack([one[there].mean(0) for one, there in zip(x, attended, strict=True)])
    expected = linear(tensors, "classifier", pooled)
    assert torch.allclose(model.head(seen, attended), expected, atol=1e-5)
    assert task.predict(model, examples) == [LABELS[i] for i in expected.argmax(-1)]


@torch.no_grad()
@pytest.mark.parametrize(("labels", "name"), [(LABELS, "tag"), (("O", "B-PER", "I-PER"), "ner")])
def test_a_tagger(labels: tuple[str, ...], name: str, tmp_path: Path) -> None:
    tensors = published(tmp_path, "tag", labels)
    model, task = loaded(tmp_path)
    assert (model.setup.task, model.setup.labels) == (name, labels)
    strip = task.renderer.words(["Words", "begin", "at", "patches"])
    (seen, _), first = model.seen([strip]), torch.from_numpy(strip.words[:, 0]).long()
    expected = linear(tensors, "classifier", seen[0, 1:][first])
    assert torch.allclose(model.head(seen, first[None])[0], expected, atol=1e-5)


@torch.no_grad()
def test_an_answer_finder_with_the_class_vector_last(tmp_path: Path) -> None:
    tensors = published(tmp_path, "answer", ("LABEL_0", "LABEL_1"))
    model, task = loaded(tmp_path)
    assert (model.setup.task, model.setup.labels) == ("answer", ())
    seen, attended = model.seen([task.renderer.line("Where is it?")])
    expected = linear(tensors, "qa_outputs", torch.cat([seen[:, 1:], seen[:, :1]], 1)).transpose(1, 2)
    assert torch.allclose(class_last(model.head(seen, torch.ones_like(attended))), expected, atol=1e-5)


@torch.no_grad()
def test_a_parser_of_mean_patch_vectors(tmp_path: Path) -> None:
    labels = ("root", "nsubj", "punct", "obj")
    tensors = published(tmp_path, "parse", labels)
    model, task = loaded(tmp_path)
    assert model.setup.task == "parse"
    strips = [task.renderer.words(words) for words in (["Extraordinarily", "long", "words"], ["Short"])]
    seen, _ = model.seen(strips)
    words = task._patches(strips, model)
    present = torch.tensor([[True] * 3, [True, False, False]])
    scores = model.head(seen, words, present)
    for row, strip in enumerate(strips):
        starts = [*strip.words[:, 0].tolist(), int(strip.words[-1, 1])]
        dependents = torch.stack([seen[row, 1 + a : 1 + b].mean(0) for a, b in pairwise(starts)])
        heads = torch.cat([torch.tanh(linear(tensors, "vit.pooler.dense", seen[row, :1])), dependents])
        x, y = F.pad(dependents, (0, 1), value=1), F.pad(heads, (0, 1), value=1)
        n = len(dependents)
        arcs = torch.einsum("xi,ij,yj->xy", x, tensors["biaffine_arcs.weight"][0], heads)
        assert torch.allclose(scores[row, :n, : n + 1], arcs, atol=1e-4)
        relations = torch.einsum("xi,oij,yj->xyo", x, tensors["biaffine_rels.weight"], y)
        for head in range(n + 1):
            named = model.head.relations(seen, words, torch.full((2, 3), head))  # type: ignore[operator]
            assert torch.allclose(named[row, :n], relations[:, head], atol=1e-4)
    assert torch.isinf(scores[1, 0, 2:]).all()
    ((tree, names),) = task.predict(model, [Sentence(("Extraordinarily", "long", "words"), ())])
    assert len(tree) == 3 and tree.count(0) == 1 and set(names) <= set(labels)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "labels"), [("answer", ()), ("mean", ("LABEL_0", "LABEL_1"))])
def test_the_two_classes_that_transformers_names_itself_need_no_names(
    kind: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    tensors = published(tmp_path, kind)
    if kind == "mean":
        tensors |= {"classifier.weight": torch.zeros(2, D), "classifier.bias": torch.zeros(2)}
        save_file(tensors, tmp_path / "model.safetensors")
    said = json.loads((tmp_path / "config.json").read_text())
    del said["id2label"]
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert loaded(tmp_path)[0].setup.labels == labels


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_a_classifier_with_both_poolers_uses_the_one_that_its_config_names(mode: str, tmp_path: Path) -> None:
    published(tmp_path, "cls")
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "pooling_mode": mode}))
    assert loaded(tmp_path)[0].setup.pooling == mode


def test_a_pooling_that_is_not_computed_is_refused(tmp_path: Path) -> None:
    published(tmp_path, "mean")
    said = json.loads((tmp_path / "config.json").read_text())
    for stated in ("pma8", 7, ""):
        (tmp_path / "config.json").write_text(json.dumps({**said, "pooling_mode": stated}))
        with pytest.raises(CheckpointError, match="only mean, cls, max are computed"):
            load_tuned(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**said, "pooling_mode": "MAX"}))
    assert load_tuned(tmp_path)[0].setup.pooling == "max"


def test_a_folder_is_taken_and_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    published(tmp_path, "tag")
    assert load_tuned(tmp_path)[0].setup.task == "tag"
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: .* convert it"):
        load_tuned(tmp_path)


@pytest.mark.parametrize("other", ["ViTForImageClassification", "BertForSequenceClassification"])
def test_a_classifier_of_another_model_is_no_tagger(other: str, tmp_path: Path) -> None:
    published(tmp_path, "tag")
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "architectures": [other]}))
    with pytest.raises(CheckpointError, match="has no head of a published fine-tuned PIXEL"):
        load_tuned(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("hidden_act", "relu"), ("layer_norm_eps", 1e-3), ("qkv_bias", False)])
def test_a_computation_that_is_not_ours_is_refused(key: str, value: object, tmp_path: Path) -> None:
    published(tmp_path, "tag")
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, key: value}))
    with pytest.raises(CheckpointError, match=f"{key} is "):
        load_tuned(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"with a config\.json beside it"):
        load_tuned(tmp_path / "model.safetensors")


def test_what_is_no_published_model_is_refused(tmp_path: Path) -> None:
    tensors = published(tmp_path, "tag")
    said = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"id2label": None}, "a config.json beside it"),
        ({"hidden_size": 32}, r"vit\.embeddings\.cls_token is \(1, 1, 16\)"),
        ({"id2label": {"0": "a"}}, r"classifier\.weight is \(3, 16\)"),
        ({"num_hidden_layers": 1}, "belongs to no part"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(CheckpointError, match=message):
            load_tuned(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(said))
    save_file({k: v for k, v in tensors.items() if "classifier" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="has no head of a published fine-tuned PIXEL"):
        load_tuned(tmp_path / "model.safetensors")
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"with a config\.json beside it"):
        load_tuned(tmp_path / "model.safetensors")


@torch.no_grad()
@pytest.mark.parametrize("task", ["classify", "parse", "answer", "tag"])
def test_a_published_head_that_was_tuned_here_is_kept(task: Any, tmp_path: Path) -> None:
    setup = Setup(task, LABELS if task != "answer" else (), 32, published=True)
    torch.manual_seed(1)
    model = Tuned(PixelEncoder(SIZES), head_of(setup, D), setup).eval()
    save_tuned(model, tmp_path / "own.safetensors", {"f1": 0.5})
    again, scores = load_tuned(tmp_path / "own.safetensors")
    assert again.setup == setup and scores == {"f1": 0.5}
    for (name, one), other in zip(model.head.named_parameters(), again.head.parameters(), strict=True):
        assert np.array_equal(one.numpy(), other.numpy()), name
