"""LiteLLM: a hook that draws requests as the proxy does, before LiteLLM sends them.

    from microfiche.integrations.litellm import MicroficheHook
    litellm.callbacks = [MicroficheHook()]

In the configuration of LiteLLM's proxy: `litellm_settings: {callbacks: my_module.hook}`, where my_module has
`hook = MicroficheHook()`. A request that fails to be drawn goes as it came.

LiteLLM asks no hook before it sends a request of its synchronous `completion`. That goes as text, with one warning,
unless it is drawn first: `litellm.completion(**hook.drawn(request, "completion"))`.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Mapping
from typing import Any

from microfiche.errors import UsageError
from microfiche.proxy.exchange import Drawer
from microfiche.proxy.protocols import Route, asked
from microfiche.proxy.splice import Body

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError as error:
    raise UsageError("this hook is for LiteLLM: pip install litellm") from error

_ROUTES = {
    "completion": Route("chat", "openai", "answer"), "anthropic_messages": Route("messages", "anthropic", "answer"),
    "responses": Route("responses", "openai", "answer"),
}  # fmt: skip
#: what of a request says its prompt; the rest is LiteLLM's own, or says how it is answered
_PROMPT = ("model", "messages", "system", "tools", "input", "instructions", "prompt_cache_key")
UNASKED = (
    "LiteLLM asks no hook before a completion that is not awaited, so that this one went as text: use acompletion, or "
    'draw it first, litellm.completion(**hook.drawn(request, "completion"))'
)


class MicroficheHook(CustomLogger):
    """Draws what is new and large in requests, for models that read it, as `drawer` decides; by default as the user's
    settings of the proxy say. `names` says how the registry calls a model that LiteLLM knows by a name of its own.

    It is asked once for each request: by LiteLLM's proxy before a deployment is chosen, and by its library otherwise.
    """

    def __init__(self, drawer: Drawer | None = None, names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if drawer is None:
            from microfiche.proxy.server import drawer_of
            from microfiche.proxy.settings import settings

            drawer = drawer_of(settings())
        self.drawer, self.names = drawer, dict(names or {})
        self._quiet = drawer is None

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Draws a request that LiteLLM's proxy has received."""
        return await asyncio.to_thread(self.drawn, data, call_type)

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any]:
        """Draws a request that LiteLLM's library is about to send; what its proxy has drawn already stays as it is."""
        return await asyncio.to_thread(self.drawn, kwargs, getattr(call_type, "value", call_type) or "")

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Warns once of a request that LiteLLM's library sends without having asked, unless such are drawn first."""
        if not self._quiet and kwargs.get("call_type") == "completion":
            self._quiet = True
            warnings.warn(UNASKED, stacklevel=2)

    def drawn(self, data: dict[str, Any], call_type: str) -> dict[str, Any]:
        """A request with pages in it, or the same one; for LiteLLM's synchronous `completion`, before it is called."""
        self._quiet |= call_type == "completion"
        route = _ROUTES.get(call_type.removeprefix("a") if call_type != "anthropic_messages" else call_type)
        if self.drawer is None or route is None:
            return data
        try:
            prompt = {key: data[key] for key in _PROMPT if data.get(key) is not None}
            prompt["model"] = self.names.get(str(prompt.get("model", "")), prompt.get("model", ""))
            body = Body.read(json.dumps(prompt, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            drawing = self.drawer.draw(route, body, asked(route, body, {}))
            if not drawing.replacements:
                return data
            made = json.loads(body.spliced(drawing.replacements))
        except Exception:  # whatever fails in drawing, the request goes as it came
            return data
        return {**data, **{key: made[key] for key in _PROMPT if key in made and key != "model"}}
