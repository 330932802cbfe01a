"""The mixture-of-experts language model behind the encoders: it takes vectors and returns the logits of the next token.

It has RMSNorm, rotary positions (half-split), plain multi-head attention, a dense first layer, and then layers whose
MLP is a few shared experts and the best k of many. It knows nothing of images, tokenizers or how tokens are chosen.
After DeepSeek-V2 (arXiv 2405.04434) and DeepSeekMoE (arXiv 2401.06066), as published in DeepSeek-OCR.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.cache import Cache


@dataclass(frozen=True)
class MoEConfig:
    """Sizes of a decoder; the defaults are those of DeepSeek-OCR's 3B model. `expert` is the hidden width of one
    expert. `window` is how many of the generated tokens a new one attends to, itself included, besides the whole
    prompt; None means all."""

    vocabulary: int = 129280
    width: int = 1280
    layers: int = 12
    heads: int = 10
    dense_layers: int = 1
    dense: int = 6848
    experts: int = 64
    shared: int = 2
    chosen: int = 6
    expert: int = 896
    theta: float = 10000.0
    epsilon: float = 1e-6
    context: int = 8192
    window: int | None = None

    @property
    def head_width(self) -> int:
        """The width of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True)
class Routing:
    """Where one layer sent its tokens: `probability` (B, T, experts) float32, `chosen` (B, T, k) int64."""

    probability: Float[Tensor, "b t experts"]
    chosen: Int[Tensor, "b t k"]


def balance_loss(routings: list[Routing], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, ""]:
    """How unevenly the experts are used, as the mean over layers and sequences; 1 if evenly. `mask` (B, T) marks real
    tokens.

    This is DeepSeek-V2's auxiliary loss for each sequence (arXiv 2405.04434, equation 23), without its factor
    (0.001 in training).
    """
    losses = []
    for routing in routings:
        experts, k = routing.probability.shape[-1], routing.chosen.shape[-1]
        real = torch.ones_like(routing.probability[..., :1]) if mask is None else mask[..., None].float()
        picked = torch.zeros_like(routing.probability).scatter(-1, routing.chosen, 1.0)
        length = real.sum(1)
        share = (picked * real).sum(1) * experts / (k * length)
        mean = (routing.probability * real).sum(1) / length
        losses.append((share * mean).sum(-1).mean())
    return torch.stack(losses).mean()


class RMSNorm(nn.Module):
    """Normalises vectors by their root mean square."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """(…, D) → (…, D): each vector divided by its root mean square, times a weight."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)


def rotary(
    positions: Int[Tensor, "b t"], head_width: int, theta: float, dtype: torch.dtype
) -> tuple[Float[Tensor, "b 1 t d"], Float[Tensor, "b 1 t d"]]:
    """Returns the cosines and sines (B, 1, T, head width) of the angles at (B, T) positions."""
    exponents = torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32) / head_width
    angles = positions[:, None, :, None].float() * (1.0 / theta**exponents)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(
    x: Float[Tensor, "b heads t d"], cos: Float[Tensor, "#b 1 t d"], sin: Float[Tensor, "#b 1 t d"]
) -> Float[Tensor, "b heads t d"]:
    """Rotates (B, heads, T, head width) vectors; a pair is one number of the first half and one of the second."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Attention(nn.Module):
    """Multi-head attention with rotary positions."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.o_proj = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        cos: Float[Tensor, "b 1 t w"],
        sin: Float[Tensor, "b 1 t w"],
        cache: Cache | None,
        layer: int,
    ) -> Float[Tensor, "b t d"]:
        """(B, T, D) → (B, T, D). Each vector attends to itself, to those before it, and to those in the cache, to which
        these are added."""
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mask = None
        if cache is not None:
            k, v, mask = cache.append(layer, k, v)
        if mask is not None and t == 1 and x.device.type == "cpu":
            out = attended(q, k, v, mask)
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and t > 1)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, d))


def attended(
    q: Float[Tensor, "b heads 1 d"],
    k: Float[Tensor, "b heads s d"],
    v: Float[Tensor, "b heads s d"],
    mask: Bool[Tensor, "b 1 1 s"],
) -> Float[Tensor, "b heads 1 d"]:
    """Attention of one query a sequence by plain products and sums, which pass over the keys and values at the speed of
    memory; on a CPU that is a third of the time of PyTorch's own in bfloat16."""
    score = (k * q).sum(-1, dtype=torch.float32).mul_(q.shape[-1] ** -0.5)
    weight = score.masked_fill_(~mask[:, :, 0], -torch.inf).softmax(-1).to(v.dtype)
    return (v * weight[..., None]).sum(2, keepdim=True)


class GatedMLP(nn.Module):
    """A SwiGLU MLP; `gate_up` has the rows of the gate first, then those of the other factor."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """(…, D) → (…, D): the MLP of each vector."""
        return self.down(gated(self.gate_up(x)))


def gated(x: Float[Tensor, "*b both"]) -> Float[Tensor, "*b half"]:
    """(…, 2H) → (…, H): the first half, passed through SiLU, times the second."""
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


class GroupedLinear(nn.Module):
    """One matrix for each expert, (experts, out, in), applied to rows that are sorted by expert."""

    def __init__(self, experts: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, out, width) * width**-0.5)

    def forward(self, x: Float[Tensor, "n d"], ends: Int[Tensor, " experts"]) -> Float[Tensor, "n out"]:
        """(N, in) → (N, out); the rows of expert e end before row `ends[e]`, (experts,) int32."""
        weight: Tensor = self.weight
        if torch.is_autocast_enabled(x.device.type):  # autocast does not convert grouped products
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
        return F.grouped_mm(x, weight.transpose(1, 2), offs=ends)


class Experts(nn.Module):
    """Sends every token through the experts chosen for it: sorts the rows by expert, takes two grouped products, and
    sorts back."""

    def __init__(self, experts: int, width: int, hidden: int) -> None:
        super().__init__()
        self.experts = experts
        self.gate_up = GroupedLinear(experts, width, 2 * hidden)
        self.down = GroupedLinear(experts, hidden, width)

    def forward(
        self, x: Float[Tensor, "n d"], weight: Float[Tensor, "n k"], chosen: Int[Tensor, "n k"]
    ) -> Float[Tensor, "n d"]:
        """(N, D) tokens, (N, k) float32 weights and (N, k) int64 experts → (N, D), summed in float32."""
        expert, order = chosen.flatten().sort(stable=True)
        ends = torch.searchsorted(expert, torch.arange(self.experts, device=x.device), right=True)
        ends = ends.to(torch.int32)
        y = self.down(gated(self.gate_up(x[order // chosen.shape[1]], ends)), ends)
        y = torch.empty_like(y).index_copy(0, order, y).view(*chosen.shape, -1)  # (N, k, D)
        return (y.float() * weight[..., None]).sum(1).to(x.dtype)


class MoE(nn.Module):
    """The best k of many experts, chosen for each vector by a gate, and a few experts that all vectors share."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.chosen = config.chosen
        self.gate = nn.Parameter(torch.randn(config.experts, config.width) * config.width**-0.5)
        self.experts = Experts(config.experts, config.width, config.expert)
        self.shared_experts = GatedMLP(config.width, config.shared * config.expert)

    def forward(self, x: Float[Tensor, "b t d"]) -> tuple[Float[Tensor, "b t d"], Routing]:
        """(B, T, D) → (B, T, D), and the routing: which experts were chosen for each vector."""
        probability = F.linear(x.float(), self.gate.float()).softmax(-1)
        weight, chosen = probability.topk(self.chosen, dim=-1)  # not renormalised
        routed = self.experts(x.flatten(0, 1), weight.flatten(0, 1), chosen.flatten(0, 1))
        return routed.view_as(x) + self.shared_experts(x), Routing(probability, chosen)


class Layer(nn.Module):
    """Attention and an MLP, dense or of experts, each after a norm."""

    def __init__(self, config: MoEConfig, dense: bool) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.epsilon)
        self.mlp: GatedMLP | MoE = GatedMLP(config.width, config.dense) if dense else MoE(config)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        cos: Float[Tensor, "b 1 t w"],
        sin: Float[Tensor, "b 1 t w"],
        cache: Cache | None,
        layer: int,
    ) -> tuple[Float[Tensor, "b t d"], Routing | None]:
        """(B, T, D) → (B, T, D): attention and MLP, each added to its input; and the routing, if the layer has
        experts."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, layer)
        normed = self.post_attention_layernorm(x)
        if not isinstance(self.mlp, MoE):
            return x + self.mlp(normed), None
        y, routing = self.mlp(normed)
        return x + y, routing


class MoEDecoder(nn.Module):
    """The language model. `embed_tokens` turns tokens into vectors; `lm_head` turns the output of `forward` into
    logits."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config, i < config.dense_layers) for i in range(config.layers))
        self.norm = RMSNorm(config.width, config.epsilon)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(
        self, x: Float[Tensor, "b t d"], cache: Cache | None = None, routings: list[Routing] | None = None
    ) -> Float[Tensor, "b t d"]:
        """(B, T, D) vectors → (B, T, D). Each vector attends to itself, to those before it, and to those in the cache,
        to which these are added.

        One Routing for each layer with experts is appended to `routings`. Sequences of different lengths are padded on
        the right; the output at padding has no meaning.
        """
        b, t, _ = x.shape
        positions = torch.arange(t, device=x.device).expand(b, t)
        if cache is not None:
            positions = cache.start(t)
        cos, sin = rotary(positions, self.config.head_width, self.config.theta, x.dtype)
        for i, layer in enumerate(self.layers):
            x, routing = layer(x, cos, sin, cache, i)
            if routings is not None and routing is not None:
                routings.append(routing)
        return self.norm(x)

    def logits(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b v"]:
        """(…, D) output of `forward` → (…, V) float32 logits."""
        return self.lm_head(x).float()
