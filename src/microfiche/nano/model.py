from microfiche.nano.cells import NanoConfig, NanoModel, _ink
from microfiche.nano.encoder import ink_of
from microfiche.page import Reading

__all__ = ["NanoConfig", "NanoModel", "Reading", "_ink", "ink_of"]
