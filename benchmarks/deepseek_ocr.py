"""DeepSeek-OCR against transformers' unlimited_ocr: the same random weights, pages and number of tokens, in one run.

    python benchmarks/deepseek_ocr.py                              # reduced size, CPU, a few minutes
    python benchmarks/deepseek_ocr.py --modes base gundam --tokens 1000 --batches 1 4 --times 1
    python benchmarks/deepseek_ocr.py --modes base gundam --tokens 1000 --batches 1 64 --size full --device cuda

For both it prints pages a second for encoding and for reading whole pages, each of which goes on for so many tokens,
and tokens a second for generation. It also prints which share that is of what the device's memory bandwidth, measured
in the same run, allows. A Gundam page has 2×3 tiles, as A4 has. Needs transformers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from microfiche.decoder.generation import NoRepeat, generate
from microfiche.decoder.moe import MoEConfig, Routing
from microfiche.deepseek_ocr import checkpoint
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.deepseek_ocr.slots import official_tensors
from microfiche.deepseek_ocr.views import RESOLUTIONS, Views

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from conftest import oracle_of

SMALL = DeepSeekOCRConfig(
    SAMConfig(width=384, layers=6, heads=6, mlp=1536, global_layers=(2, 5), out=(256, 512)),
    CLIPConfig(width=512, layers=6, heads=8, mlp=2048),
    MoEConfig(16384, width=640, layers=6, heads=5, dense=3424, expert=448),
    image=16000,
    special=(),
)


def random_weights(config: DeepSeekOCRConfig, folder: Path) -> None:
    """Writes one bfloat16 checkpoint of random weights, for both to read."""
    torch.manual_seed(0)
    tensors = {}
    for name, shape in official_tensors(config).items():
        fan_in = torch.Size(shape[1:]).numel()
        tensors[name] = torch.randn(shape, dtype=torch.bfloat16) * (0.02 if len(shape) == 1 else fan_in**-0.5)
        if "norm" in name and name.endswith("weight"):
            tensors[name] += 1
    save_file(tensors, folder / "model.safetensors")
    Tokenizer(WordLevel({"<image>": config.image, "w": 3}, unk_token="w")).save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").write_text("{}")


def seconds(run: Callable[[], Any], device: str, times: int = 3) -> float:
    """Seconds that the best of `times` runs takes, after one to warm up."""
    best = float("inf")
    for i in range(times + 1):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        if i:
            best = min(best, time.perf_counter() - start)
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def bandwidth(device: str) -> float:
    """Bytes a second that a matrix-vector product reads, which is most of what decoding one sequence does."""
    matrix = torch.ones(1 << (17 if device == "cpu" else 20), 2048, dtype=torch.bfloat16, device=device)
    vector = torch.ones(2048, dtype=torch.bfloat16, device=device)
    return matrix.numel() * 2 / seconds(lambda: matrix @ vector, device, 10)


def experts_hit(ours: DeepSeekOCR, prompts: list[torch.Tensor]) -> float:
    """To how many experts of a layer the last tokens of the prompts go."""
    routings: list[Routing] = []
    ours.decoder(torch.stack(prompts), routings=routings)
    return sum(routing.chosen[:, -1].unique().numel() for routing in routings) / len(routings)


def step_bytes(config: DeepSeekOCRConfig, hit: float, rows: int, length: float, itemsize: int = 2) -> float:
    """Bytes that one decoding step must read: each weight in use once, and the keys and values of `rows` sequences."""
    c = config.decoder
    sparse = c.layers - c.dense_layers
    weights = c.layers * 4 * c.width**2 + c.dense_layers * 3 * c.width * c.dense + c.vocabulary * c.width
    weights += sparse * (c.experts * c.width + 3 * c.width * c.expert * (hit + c.shared))
    return (weights + rows * length * 2 * c.layers * c.width) * itemsize


def theirs_generate(oracle: Any, ids: torch.Tensor, vectors: torch.Tensor, tokens: int) -> list[list[int]]:
    embedded = oracle.get_input_embeddings()(ids)
    embedded = torch.cat([embedded[:, :1], vectors, embedded[:, 1:]], dim=1)
    mask = torch.ones(embedded.shape[:2], dtype=torch.int64, device=ids.device)
    out = oracle.generate(
        inputs_embeds=embedded, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=2
    )
    return out.tolist()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--modes", choices=tuple(RESOLUTIONS), nargs="+", default=["small"])
    parser.add_argument("--tokens", type=int, default=64, help="tokens generated for each page")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="numbers of pages that are read at once")
    parser.add_argument("--times", type=int, default=2, help="timed runs, of which the best counts")
    args = parser.parse_args()
    config = SMALL if args.size == "small" else DeepSeekOCRConfig()
    device = args.device
    torch.set_num_threads(args.threads)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_weights(config, folder)
        start = time.perf_counter()
        ours: DeepSeekOCR = checkpoint.load(folder, device, torch.bfloat16, config)
        print(f"{sum(p.numel() for p in ours.parameters()) / 1e6:.0f} M parameters on {device}, bfloat16, ", end="")
        print(f"loaded in {time.perf_counter() - start:.1f} s")
        oracle = oracle_of(folder, config, torch.bfloat16).to(device)
    oracle.generation_config.eos_token_id = None
    limit = bandwidth(device)
    print(f"memory bandwidth, measured: {limit / 1e9:.1f} GB/s")

    for mode in args.modes:
        for count in args.batches:
            compare(ours, oracle, mode, count, args, limit)


def compare(ours: DeepSeekOCR, oracle: Any, mode: str, count: int, args: argparse.Namespace, limit: float) -> None:
    """Prints how fast both encode and generate, for `count` pages in a mode."""
    device, tokens, config = args.device, args.tokens, ours.config
    views = pages(mode, count)

    def theirs_encode() -> Any:
        tiles = [view.tiles for view in views if len(view.tiles)]
        local = (torch.cat(tiles).to(device, torch.bfloat16), [6] * count, [[2, 3]] * count) if tiles else ()
        return oracle.get_image_features(torch.stack([v.page for v in views]).to(device, torch.bfloat16), *local)

    encoding = seconds(lambda: ours.encoder(views), device, args.times), seconds(theirs_encode, device, args.times)
    report(f"encoding {count} {mode} page(s)", "pages/s", *(count / s for s in encoding))

    vectors = torch.stack(ours.encoder(views))
    ids = torch.tensor([[0, 5, 6, 7]], device=device)
    around = ours.decoder.embed_tokens(ids[0])
    prompts = [torch.cat([around[:1], page, around[1:]]) for page in vectors]

    def ours_generate(tokens: int = tokens, ban: Any = None) -> Any:
        return generate(ours.decoder, prompts, -1, tokens, ban)

    def theirs() -> Any:
        return theirs_generate(oracle, ids.expand(count, -1), vectors, tokens)

    # Random weights may go round in a loop, which ours cuts off: then it is timed with the ban on repeated n-grams,
    # which breaks the loop, and costs it more.
    ban, total = None, count * tokens
    if made(ours_generate()) < total:
        print("  these weights loop: ours is timed with the ban on repeated n-grams, transformers without it")
        ban = NoRepeat()
    if made(ours_generate(ban=ban)) < total:
        print(f"  these weights loop even so, and end before {tokens} tokens: not timed", flush=True)
        return
    whole = seconds(lambda: ours_generate(ban=ban), device, args.times)
    both = whole, seconds(theirs, device, args.times)
    report(f"prompt and {tokens} tokens of {count} page(s)", "tokens/s", *(total / s for s in both))
    report(f"{count} whole page(s)", "pages/s", *(count / (a + b) for a, b in zip(encoding, both, strict=True)))
    rate = (total - count) / (whole - seconds(lambda: ours_generate(tokens=1, ban=ban), device, args.times))
    hit = experts_hit(ours, prompts)
    most = count * limit / step_bytes(config, hit, count, len(prompts[0]) + tokens / 2)
    print(f"  decoding alone: {rate:.1f} tokens/s, {rate / most:.0%} of the {most:.1f} that the bandwidth allows")
    if ban is None:
        banned = total / seconds(lambda: ours_generate(ban=NoRepeat()), device, args.times)
        print(f"  with the ban on repeated n-grams: {banned:.1f} tokens/s")
        same = sum(list(g.tokens) == t for g, t in zip(ours_generate(), theirs(), strict=True))
        print(f"  the same tokens for {same} of {count} page(s)", flush=True)


def made(generated: Any) -> int:
    """How many tokens were generated in all."""
    return sum(len(one.tokens) for one in generated)


def pages(mode: str, count: int) -> list[Views]:
    """The views of `count` pages of noise; their content makes no difference to the time."""
    side, tile = RESOLUTIONS[mode].side, RESOLUTIONS[mode].tile
    seen = torch.randn(count, 3, side, side).clamp(-1, 1)
    if tile is None:
        return [Views(page, torch.empty(0, 3, 640, 640), (0, 0)) for page in seen]
    return [Views(page, torch.randn(6, 3, tile, tile).clamp(-1, 1), (2, 3)) for page in seen]


def report(what: str, unit: str, ours: float, theirs: float) -> None:
    print(f"{what}: {ours:.3g} {unit}, transformers {theirs:.3g} ({ours / theirs:.2f}×)", flush=True)


if __name__ == "__main__":
    main()
