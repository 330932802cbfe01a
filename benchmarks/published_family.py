"""Times a published model at full size with random weights beside transformers' class, each in a process of its own.

    python benchmarks/published_family.py --model deepseek-ocr-2 --threads 2

One A4 page at 144 dpi is encoded; then its vectors and a short prompt are read, and tokens that are fixed beforehand
are decoded one by one, so that all do the same work. Microfiche holds the weights in int8 and in bfloat16, transformers
in bfloat16. Ratios are of wall time and, for a machine that others use too, of the process's own time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch

from microfiche.decoder.generation import decode, prefill
from microfiche.decoder.prompts import FAMILY
from microfiche.deepseek_ocr.checkpoint import empty
from microfiche.deepseek_ocr.family import MODELS, DeepSeekOCRConfig
from microfiche.deepseek_ocr.int8 import hold_in_int8
from microfiche.deepseek_ocr.views import Views, tiling

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from conftest import oracle_config

A4 = (1191, 1684)  #: px at 144 dpi
WHO = ("int8", "bfloat16", "transformers")


def page(config: DeepSeekOCRConfig) -> Views:
    """The views of an A4 page of noise; its content makes no difference to the time."""
    mode = config.resolutions["gundam"]
    w, h = tiling(mode, *A4)
    assert mode.tile
    tiles = torch.randn(w * h, 3, mode.tile, mode.tile).clamp(-1, 1)
    return Views(torch.randn(3, mode.side, mode.side).clamp(-1, 1), tiles, (w, h), mode.newlines)


@torch.no_grad()
def fill(model: torch.nn.Module) -> None:
    """Gives a model on the meta device random weights of a plausible size."""
    noise = torch.randn(1 << 20)
    model.to_empty(device="cpu")
    for name, parameter in model.named_parameters():
        if parameter.dtype is torch.int8:
            block = (noise * 40).clamp(-127, 127)
        elif name.endswith("scale"):
            block = torch.full_like(noise, 1e-3)
        elif parameter.ndim == 1:
            block = torch.ones_like(noise) if "norm" in name else 0.02 * noise
        else:
            block = noise * parameter[0].numel() ** -0.5
        block = block.to(parameter.dtype)
        flat = parameter.view(-1)
        for first in range(0, len(flat), len(block)):
            part = flat[first : first + len(block)]
            part.copy_(block[: len(part)])


def timed(run: Callable[[], Any]) -> tuple[Any, list[float]]:
    """What `run` returns, and the seconds that it took: of the clock, and of this process."""
    start, own = time.perf_counter(), time.process_time()
    result = run()
    return result, [time.perf_counter() - start, time.process_time() - own]


def ours(config: DeepSeekOCRConfig, int8: bool, forced: torch.Tensor) -> dict[str, list[float]]:
    model = empty(config).to(torch.bfloat16)
    if int8:
        hold_in_int8(model)
    fill(model)
    model.eval()
    (vectors,), encoding = timed(lambda: model.encoder([page(config)]))
    prompt = torch.cat([vectors, model.decoder.embed_tokens(forced[:10])])
    (_, cache), reading = timed(lambda: prefill(model.decoder, [prompt], len(prompt) + len(forced)))

    def decoding() -> None:
        for token in forced:
            model.decoder.logits(decode(model.decoder, token[None], cache)).argmax(-1)

    return {"encode": encoding, "prompt": reading, "decode": timed(decoding)[1]}


def theirs(config: DeepSeekOCRConfig, forced: torch.Tensor) -> dict[str, list[float]]:
    import transformers

    kind = "DeepseekOcr2" if config.name == "deepseek-ocr-2" else "UnlimitedOcr"
    sizes = getattr(transformers, f"{kind}Config")(**oracle_config(config))
    cls = getattr(transformers, f"{kind}ForConditionalGeneration")
    with torch.device("meta"):
        model = cls._from_config(sizes, dtype=torch.bfloat16)
    buffers = {name: module for name, module in model.named_modules() if hasattr(module, "inv_freq")}
    fill(model)
    for module in buffers.values():  # what is computed, and not read from a checkpoint
        module.__init__(module.config)
    for name, buffer in model.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1])[None])
    model.eval()
    seen = page(config)
    tiles = seen.tiles.to(torch.bfloat16)
    local = (tiles, [len(tiles)]) if kind == "DeepseekOcr2" else (tiles, [len(tiles)], [list(seen.grid)])
    features, encoding = timed(lambda: model.get_image_features(seen.page[None].to(torch.bfloat16), *local))
    vectors = features.pooler_output
    vectors = vectors[0] if isinstance(vectors, list | tuple) else vectors.view(-1, vectors.shape[-1])
    prompt = torch.cat([vectors, model.get_input_embeddings()(forced[:10])])[None]
    out, reading = timed(lambda: model(inputs_embeds=prompt, use_cache=True, logits_to_keep=1))
    cache = out.cache

    def decoding() -> None:
        for token in forced:
            model(input_ids=token[None, None], cache=cache, use_cache=True).logits.argmax(-1)

    return {"encode": encoding, "prompt": reading, "decode": timed(decoding)[1]}


@torch.inference_mode()
def one(name: str, who: str, tokens: int, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    config = MODELS[name].config  # type: ignore[index]
    forced = torch.randint(config.decoder.vocabulary, (tokens,))
    found = theirs(config, forced) if who == "transformers" else ours(config, who == "int8", forced)
    print(json.dumps({**found, "peak": getrusage(RUSAGE_SELF).ru_maxrss * 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=FAMILY, default="deepseek-ocr-2")
    parser.add_argument("--tokens", type=int, default=200, help="tokens that are decoded")
    parser.add_argument("--threads", type=int, default=2, help="threads of the CPU")
    parser.add_argument("--who", choices=WHO, nargs="+", default=list(WHO), help="whose models are timed")
    parser.add_argument("--one", choices=WHO, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.model, args.one, args.tokens, args.threads)
        return
    results = {}
    for who in args.who:
        command = [sys.executable, __file__, "--one", who, "--model", args.model]
        command += ["--tokens", str(args.tokens), "--threads", str(args.threads)]
        results[who] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        parts = [f"{part} {results[who][part][0]:.1f} s ({results[who][part][1]:.1f} its own)"
                 for part in ("encode", "prompt", "decode")]  # fmt: skip
        print(f"{args.model} {who}: {', '.join(parts)}, peak {results[who]['peak'] / 1e9:.1f} GB", flush=True)
    if "transformers" in results:
        for who in args.who:
            if who != "transformers":
                ratios = [
                    f"{part} {results['transformers'][part][0] / results[who][part][0]:.2f}× "
                    f"({results['transformers'][part][1] / results[who][part][1]:.2f}×)"
                    for part in ("encode", "prompt", "decode")
                ]
                print(f"{who} against transformers, of the clock (of its own time): {', '.join(ratios)}")


if __name__ == "__main__":
    main()
