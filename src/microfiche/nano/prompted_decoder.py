from microfiche.nano.prompted import NANO_READER
from microfiche.nano.prompted import AnswerDecoder as Reader

__all__ = ["NANO_READER", "Reader"]
