"""Secrets in a text: keys by their known shapes, values that their names call secret, and strings that are random.

None of them is drawn. A string that only looks like a secret costs nothing but that: it stands beside the page as text.
Sources: the key formats that the vendors document, and memory/folders.py. This module knows nothing of pages.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

RANDOM = 3.5  #: bits a character from which on a long string of several kinds of characters is taken for random
SHORTEST, LONGEST = 16, 4096  #: characters of a string that may be random
MIXED = 20  #: characters from which on two kinds of them are enough, and not capitals, small letters and digits
PRIVATE = 20_000  #: characters of a private key
NEAR = 80  #: characters of a line around an odd word in which something may tell that it is a secret
AFTER = 2  #: lines after a name in which its value may stand

#: What stands in a text that may call something secret, in small letters.
_HINTS = ("pass", "pw", "secret", "token", "cred", "key", "cookie", "sess", "auth", "dsn", "connection", "pin",
          "psk", "cvv", "cvc", "ssn", "otp", "mnemonic", "phrase", "code", "mdp", "login", "recovery", "verification",
          "securestring", "bearer", "basic", "identified", "net user", " -u", "--user", "contrase", "senha", "kennwort",
          "wachtwoord", "hasło", "heslo", "lösenord", "adgangskode", "salasana", "parola", "şifre", "parol", "пароль",
          "密码", "密碼", "口令", "パスワード", "비밀번호", "סיסמה", "كلمة المرور")  # fmt: skip
_KEYS = (
    r"(?:api|access|account|private|signing|encryption|auth|client|hmac|licen[cs]e|master|shared|storage|deploy|service"
    r"|app|secret|recovery|activation|product)[_ -]?key"
)
_CORE = (
    r"(?:passw(?:or)?[dt]|passwd|passphrase|passcode|pwd|secret"
    r"|token(?!s|i[sz]|_?(?:count|type|id|limit|usage))|credential|(?<![a-z])creds?(?![a-z])|" + _KEYS
    + r"|cookie|session[_-]?id|sessid"
    r"|authorization|connection[_-]?string|dsn|pin[_-]?code|key_material"
    r"|pass(?!ed|es|ing|en|iv|age|port|ion)|(?<![a-z])(?:pw|psk|otp|cvv|cvc|ssn|mdp|mnemonic)(?![a-z])"
    r"|(?:seed|recovery|backup|one[_ -]time|verification|security|login|access)[_ -]?(?:phrase|code)s?"
    r"|contraseñ?a|senha|kennwort|wachtwoord|hasło|heslo|lösenord|adgangskode"
    r"|salasana|parola|şifre|пароль|密码|密碼|口令|パスワード|비밀번호|סיסמה|كلمة المرور|mot de passe)"
)
_NAME = r"(?:[\w.-]{0,40}" + _CORE + r"(?:[_.-]?\w{1,20}){0,2})"
_SHUT = r"(?:\\*[\"'`\]]){0,3}"
_QUOTED = r"[bfru]{0,2}(?:\\+[\"'](.{2,}?)\\+[\"']|\"((?:[^\"\\\n]|\\.){2,})\"|'((?:[^'\\\n]|\\.){2,})'|`([^`\n]{2,})`)"
_BARE = r"([^\s,;\"'`(){}\[\]<>\x1b]{3,})"
_PREFIXES = (
    "npm_", "pypi-", "hf_", "dop_v1_", "doo_v1_", "dor_v1_", "shpat_", "shpss_", "SG.", "key-", "lin_api_", "ntn_",
    "secret_", "figd_", "dckr_pat_", "rubygems_", "PMAK-", "nvapi-", "gsk_", "xai-", "r8_", "pplx-", "tvly-", "sntrys_",
    "glc_", "hvs.", "ATATT3", "AGE-SECRET-KEY-1", "pul-", "NRAK-", "EAAC",
)  # fmt: skip
#: Where a match has groups, those are the secret, and else all of it. Each is looked for where its beginning stands.
_KNOWN = tuple((start, re.compile(pattern)) for starts, pattern in (
    (("AKIA", "ASIA", "AGPA", "AIDA", "AROA"), r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{12,}\b"),
    (("gho_", "ghp_", "ghs_", "ghu_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    (("github_pat_",), r"\bgithub_pat_\w{16,}"),
    (("glpat-", "glptt-", "glrt-", "gldt-", "glsoat-", "glft-"), r"\bgl(?:pat|ptt|rt|dt|soat|ft)-[\w-]{16,}"),
    (("xox", "xapp-"), r"\bxox[abceoprs]-[0-9A-Za-z-]{8,}|\bxapp-[\w-]{16,}"),
    (("sk-",), r"\bsk-[A-Za-z0-9_-]{12,}"),
    (("k_live_", "k_test_", "whsec_"), r"\b[sprw]k_(?:live|test)_[A-Za-z0-9]{8,}|\bwhsec_[\w+/=]{8,}"),
    (("AIza", "ya29."), r"\bAIza[0-9A-Za-z_-]{16,}|\bya29\.[\w.-]{8,}"),
    (("GOCSPX-", "AQ."), r"\bGOCSPX-[\w-]{8,}|\bAQ\.[\w-]{16,}"),
    (("eyJ",), r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"),
    (_PREFIXES, r"\b(?:" + "|".join(map(re.escape, _PREFIXES)) + r")[\w.=-]{12,}"),
    (("sq0",), r"\bsq0[a-z]{3}-[\w.=-]{12,}"), (("dapi",), r"\bdapi[\da-f][\w.=-]{12,}"),
    (("s.",), r"\bs\.[A-Za-z0-9]{24}\b"),
    (("hooks.slack.com", "/api/webhooks/"),
     r"https://hooks\.slack\.com/[\w/-]+|https://discord(?:app)?\.com/api/webhooks/[\w/-]+"),
    (("://",), r"://[^\s/:@'\"]*:([^\s/@'\"]+)@|://([0-9a-f]{16,})@"),
    (("sig=", "signature="), r"[?&](?:sig|signature)=([^&\s\"'<>]{8,})"),
    ((":AA",), r"\b\d{6,12}:AA[\w-]{30,}"),
    (("$",), r"\$(?:apr1|argon2\w*|2[abxy]|[156y]|scrypt|krb5\w+|pbkdf2\S{0,20}|sha1)\$[^\s\"'`,;]{8,}"),
    (("@",), r"(?<![\w/.:@-])[\w.$\\/-]{1,60}:([^\s:/@\"'<>]{4,80})@[\w.-]"),
    (("sqlplus", "sqlldr", "expdp", "impdp", "oracle:thin:"),
     r"(?:\b(?:sqlplus|sqlldr|expdp|impdp)\b[^\n]{0,60}?\s|oracle:thin:)[\w.$]+/([^\s@\"']{3,})"),
    (("smb", "rpcclient", "mount", "net "),
     r"\b(?:smb\w+|rpcclient|mount\S*|net)\b[^\n]{0,200}?[-=]U?\s?[\w.\\/-]+%([^\s\"'%]{3,})"),
    ((" -u", " -U"),
     r"\s-[uU][ =]?[\"']?[\w.@\\-]{1,40}[\"']?\s[^\n|;&]{0,60}?-[pP][ =]?[\"']?([^\s\"'-][^\s\"']{2,})"),
    (("chpasswd",), r"\bchpasswd\b[^\n]{0,40}?[\"'][\w.-]+:([^\"'\n]{2,})"),
    (("useradd", "usermod"), r"\buser(?:add|mod)\b[^\n]{0,80}?\s-p[ =]?[\"']?([^\s\"']{3,})"),
    (("snmp",), r"\bsnmp\w+\b[^\n]{0,80}?\s-c[ =]?[\"']?([^\s\"']{3,})"),
    (("ldap",), r"\bldap\w+\b[^\n]{0,200}?\s-w\s+[\"']?([^\s\"']{3,})"),
    (("net use",), r"\bnet use\b[^\n]{0,200}?/user:\S+\s+([^\s/]\S{2,})"),
    (("--from-literal",), r"--from-literal[= ][\"']?[\w.-]+=([^\s\"']{2,})"),
    (("base64", "gpg ", "--passphrase-fd"),
     r"\b(?:echo|printf)\s+(?:-\w+\s+)?[\"']?([^\s\"'|]{3,})[\"']?\s*\|[^\n|]{0,80}?"
     r"(?:\bbase64\b(?! +-+d)|\bgpg\b|--passphrase-fd)"),
    (("WIFI:",), r"\bWIFI:(?:[^;\n]*;){0,4}?P:([^;\n]{3,})"),
    (("\tTRUE\t", "\tFALSE\t"), r"(?m)^\S+\t(?:TRUE|FALSE)\t\S+\t(?:TRUE|FALSE)\t\d+\t\S+\t(\S+)$"),  # a jar of cookies
    ((":",), r"(?m)^[+ -]?[\w.*-]+:(?:\d{2,5}|\*):[\w*-]+:[\w.*-]+:(\S+)$"),  # a line of ~/.pgpass
    ((" login",),
     r"\b(?:docker|podman|nerdctl|helm|oras|crane|buildah|skopeo|az|oc|bw)\b[^\n]{0,60}? login\b[^\n]{0,200}?"
     r"\s-p[ =]?[\"']?([^\s\"']+)"),
    (("zip", "7z", "rar "),
     r"\b(?:zip|unzip|zipcloak|7z[ar]?|rar|unrar)\b[^\n]{0,200}?\s-(?:P\s{0,2}|p)[\"']?([^\s\"']{3,})"),
    (("ssh-keygen",), r"\bssh-keygen\b[^\n]{0,200}?\s-[NP]\s+[\"']?([^\s\"']{3,})"),
    (("openssl",), r"\bopenssl\b[^\n]{0,200}?\s(?:-k\s+[\"']?|pass:)([^\s\"']{3,})"),
    (("sudo ", "-stdin", "passwd"),
     r"\b(?:echo|printf)\s+(?:-\w+\s+)?[\"']?([^\s\"'|]{3,})[\"']?\s*\|[^\n|]{0,80}?"
     r"(?:\bsudo\s+-\w*S|--?passw\w*-stdin|\bchpasswd|\bpasswd)\b"),
    (("vault ",), r"\bvault\s+(?:kv\s+)?(?:put|write|patch)\s+\S+[ \t]+([^\n]{3,300})"),
    (("Private-Lines:", "Private-MAC:"), r"Private-Lines: \d+\n((?:[A-Za-z0-9+/=]+\n?)+)|Private-MAC: (\w+)"),
) for start in starts)  # fmt: skip
_NAMED = re.compile(
    r"(?i)(?<![\w.-])" + _NAME + _SHUT + r"\s{0,4}(=>|:=|[:=：])(?:\s|\x1b\[[\d;]*m){0,6}"
    r"(?:(?:bearer|basic|token|digest)\s+)?(?:" + _QUOTED + "|" + _BARE + ")"
)
_CALLED, _WORD_BEFORE = re.compile("(?i)" + _CORE), re.compile(r"[\w.-]*")
#: A setting, of which all that follows the name in its line is the value.
_SETTING = re.compile(r"(?im)(?<![\w.-])" + _NAME + r"[ \t]*[:=][ \t]*([^\s\"'`(){}\[\]<>,][^\n(){}\[\]]{2,300})$")
_OTHERS = re.compile("(?i)" + "|".join((
    r"\b(?:name|key|id|field|label|property|variable|param(?:eter)?)" + _SHUT + r"\s*[:=]\s*(?:\\*[\"'])?" + _NAME
    + _SHUT + r"[\s,]{1,40}(?:-\s+)?(?:\\*[\"'])?(?:value|val|content|default)" + _SHUT
    + r"\s*[:=]\s*(?:\\*[\"']([^\"'\n\\]{2,})|([^\s,;<>\"']{2,}))",
    r"(?:set|with|use|enter|verify|check|change)_?(?:passw(?:or)?d|passphrase|passcode|secret|token|credentials?|api_?key)"
    r"\(\s*[bfru]{0,2}[\"'`]([^\"'`\n]{3,})[\"'`]",
    r"(?<!\w)--?(?:[a-z0-9]{1,20}[-_.]){0,3}(?:passwo?r?d|passphrase|passcode|pass|pwd|token|secret|api-?key|auth"
    r"|credentials?)[ =]+[\"']?([^\s\"'-][^\s\"']{2,})",
    r"(?:^|\s)-(?:u|-user)[ =]?[\"']?[^\s:\"']+:([^\s\"']+)|\bmysql\w{0,9}\b[^\n]{0,200}?\s-p([^\s\"']+)",
    r"\bsshpass\s+-p\s*[\"']?([^\s\"']+)|\bnet\s+user\s+\S+\s+([^\s/*]\S+)|\brequirepass\s+(\S+)",
    r"\b(?:env|arg|setx|set)\s+" + _NAME + r"\s+[\"']?([^\s\"'=]{3,})",
    r"\b(?:identified\s+(?:with\s+\S+\s+)?by|password)\s+[\"']([^\"'\n]+)[\"']",
    r"\b(?:bearer|basic)\s+([\w.~+/=-]{8,})|[\"']_?auth[\"']\s*:\s*[\"']([\w+/=-]{8,})",
    r"(?:^|\s)(?:machine\s+\S+\s+(?:login\s+\S+\s+)?)?password\s+([^\s\"',;:.]{6,})(?=\s|$)",
    r"\b(?:password|passphrase|passcode|pin|secret|token|passwort|kennwort|mot de passe|contraseña|senha|wachtwoord"
    r"|hasło|heslo|lösenord|пароль)\s+(?:is|was|ist|war|lautet|est|es|era|é|jest|je|är|это)\s*:?\s*"
    r"[\"'`]?([^\s\"'`]{4,})",
    r"\b(?:password|passphrase|passcode|pin|пароль|passwort|kennwort|contraseña|senha|mot de passe)\s+"
    r"[^\n:\"'(){}=]{1,60}:\s*(\S{3,})",
    r"\b(?:" + _KEYS + r"|pw|passcode)\s+(?:is\s+|was\s+)?[\"'`]?(?=\S*\d)([\w./+=-]{6,})",
    r"\b(?:pin|cvv|cvc|otp|(?:verification|security|one[- ]time|login|access|sms|2fa)\s(?:pass)?code)\b"
    r"[\"']?\s{0,3}(?:is|code|[:=#])?\s{0,3}[\"']?(\d{3,8})\b",
    r"(?:^|[\s;])(?:set-)?cookie:\s*([^\n]{6,})",
    r"<" + _NAME + r"(?:\s[^<>\n]{0,200})?>([^<\n]{3,})</",
    r"<\w[^<>\n]{0,80}[\"']" + _NAME + r"[\"'][^<>\n]{0,80}>([^<\n]{3,})</",
    r"\btype\s*=\s*[\"']?password[^<>\n]{0,120}?\bvalue\s*=\s*[\"']([^\"'\n]{2,})[\"']",
    r"(?:login|auth|credentials?|sign_?in|log_?on|connect)\W{0,3}[(=:]{1,2}\s*\(?\s*[bfru]{0,2}[\"'`][^\"'`\n]{0,80}[\"'`]\s*,\s*"
    r"[bfru]{0,2}[\"'`]([^\"'`\n]{2,})[\"'`]",
    r"securestring\s+[\"']([^\"'\n]{2,})[\"']|\bhtpasswd\b[^\n]{0,80}?-\w*b\w*\s+\S+\s+\S+\s+(\S+)",
    r"\bsecrets?\s+(?:set|put|create|add)\b[^\n]{0,80}?\s(?:--?\w+[ =])[\"']?([^\s\"']{2,})",
    r"(?:password|passphrase|passcode|пароль)[^\n]{0,40}\n\s*send\w*\s+(?:--\s+)?[\"']([^\"'\n\\]{2,})",
)))  # fmt: skip
#: What may be a value without what stands before it being looked at, and what then has to stand there: a block of YAML
#: after its key, and the second of two strings in a call.
_BEHIND = tuple((re.compile(value), re.compile(f"(?i){_NAME}{end}\\Z")) for value, end in (
    (r":[ \t]*[|>][+-]?\d?[ \t]*\n(?=((?:[ \t]+\S[^\n]*\n?){1,40}))", "[\"']?"),
    (r"[\"']\s*,\s*(?=[\"']([^\"'\n]{3,})[\"'])", ""),
))  # fmt: skip
LONGEST_NAME = 90  #: characters of what calls something secret
_MANIFEST = re.compile(r"[\"']?\bkind[\"']?:[ \t]*[\"']?Secret\b(?!\w)")
_DATA = re.compile(r"(?m)^(?P<indent>[ +-]*)(?:data|stringData):[ \t]*$|\"(?:data|stringData)\"\s*:\s*\{")
_STRING = re.compile(r":\s*\"((?:[^\"\\\n]|\\.)+)\"")
_BEGUN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-]?\d)")
_INSURED = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_CELLS = re.compile(r"[|\t,;]")
_COLUMN = re.compile(r"(?i)[\s\"'`]*" + _NAME + r"[\s\"'`]*")
#: What stands after a name as a value for want of another, or as several.
_INSTEAD = re.compile(
    r"(?i)(?<![\w.-])" + _NAME + r"(?::-[\"']?([^\s\"'{}]{2,})\}"
    r"|[\w.\[\]()\"' =]{0,60}?(?:\|\||\?\?|\bor\b)\s*[\"'`]([^\"'`\n]{2,})"
    r"|s?\s*[:=]\s*[\[({]([^\n\[\](){}]{3,300})[\])}])"
)
#: A line of which each odd word may be a secret, the words that are, and those that are not.
_TELLS = re.compile(
    r"(?i)passw|passphrase|passcode|kennwort|contraseñ|пароль|(?<![a-z])(?:pwd?|mdp|pin|otp|log-?in|credentials?|secrets?)(?![a-z])"
    r"|one.time|verification|activation|product key|licen[cs]e key|recovery"
)
_ODD = re.compile(
    r"(?<![\w./\\@:$!#%&*+?^~=-])(?=[^\W\d]{0,64}\d|\w{0,64}[!#%&*+?^~=-])(?=\S{0,64}\d)(?=\S{0,64}[^\W\d])"
    r"[\w!#%&*+?^~=-]{5,64}(?![\w(/\\\[:@!#%&*+?^~=-]|\.\w)"
)
_NOT_ODD = re.compile(
    r"(?i)[a-z]+\d?_\w*|\w+_[a-z]*\d*|sha-?\d+|md[45]|utf-?\d+|base\d\d|u?int\d+|float\d+|x86\w*|ipv[46]|oauth2?|http2|pbkdf2|argon2\w*"
    r"|aes-?\d+\S*|rsa-?\d+|ed25519|v\d\S*|\d+(?:px|ms|kb|mb|gb|th|st|nd|rd|min|sec|days?)|\d{4}-\d\d-\d\d\S*|\w+=\S*|\W*\d\S*\W|[+-]\w+"
)
#: What stands after a name without quotes in code, where it is no value: types, variables, members.
_CODE = re.compile(
    r"(?:None|null|nil|true|false|True|False|undefined|str|string|int|bool|bytes|object|number|boolean|unknown|Any|any"
    r"|String|Bool|Boolean|Int|Integer|Object|Bytes|Optional|Option|Text|self|this|cls|\.\.\.|\*+|\$\{?\w+\}?|%\w+%?"
    r"|<[^>]*>?|process\.env.*|os\.\w+.*|(?:self|this|cls|config|cfg|conf|settings|args|opts|options|env|environ|process"
    r"|request|req|response|resp|data|params|kwargs|ctx|context|app|user|session|client|auth|credentials|var|local|module"
    r"|event|row|obj|node|state|props|match|parsed|result|payload|body|form|headers)\.[\w.]+)[,;.)]*",
    re.ASCII,
)
_BLANK = re.compile(r"(?i)\*+|\.{3}|…|x{3,}|\$\{?\w+\}?|\$\{\{[^}]*\}\}|%\w+%?|<[^>]*>|\{\w*\}|string|null|none")
_LONG = re.compile(rf"[A-Za-z0-9_+/=~.-]{{{SHORTEST},{LONGEST}}}")
_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORDY = re.compile(r"[A-Z]?[a-z]{3,}|(?<![A-Za-z0-9])[A-Z]{3,}(?![A-Za-z0-9])")


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: starts and ends, in order, none within another. Random strings and long hashes are
    among them."""
    found = sorted({span for span in _spans(text) if span[1] > span[0]})
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for pattern in dict.fromkeys(pattern for start, pattern in _KNOWN if start in text):
        for match in pattern.finditer(text):
            yield match.span(match.lastindex or 0)
    yield from _private(text)
    for first, last in _hinted(text):
        yield from _called(text, first, last)
    yield from _in_columns(text)
    yield from _in_manifests(text)
    for match in _CARD.finditer(text):
        if _is_card(match[0]):
            yield match.span()
    for match in (*_HEX.finditer(text), *_INSURED.finditer(text)):
        yield match.span()
    for match in _LONG.finditer(text):
        for start, end in _random(match[0]):
            yield match.start() + start, match.start() + end


def _private(text: str) -> Iterator[tuple[int, int]]:
    """Private keys between their lines, whatever a tool has put before each of them."""
    for match in _BEGUN.finditer(text):
        end = text.find("END ", match.end(), match.end() + PRIVATE)
        stop = re.compile(r"[^-]*").match(text, match.end(), match.end() + PRIVATE)
        yield match.start(), end if end >= 0 else stop.end() if stop else match.end()


def _hinted(text: str) -> list[tuple[int, int]]:
    """The stretches of a text in which something may be called secret: lines with a hint, and those after them."""
    found: list[tuple[int, int]] = []
    lines, at, left, start = text.split("\n"), 0, 0, 0
    for line in lines:
        low = line.lower()
        if any(hint in low for hint in _HINTS):
            start = start if left else at
            left = AFTER + 1
        if left:
            left -= 1
            if not left:
                found.append((start, at + len(line)))
        at += len(line) + 1
    return [*found, (start, len(text))] if left else found


def _called(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """What is called secret by its name."""
    for at in dict.fromkeys(_begins(text, found.start()) for found in _CALLED.finditer(text, first, last)):
        if (match := _NAMED.match(text, at, last)) is not None:
            start, end = match.span(match.lastindex or 0)
            quoted = match[6] is None
            after = text[end : end + 1]
            same = match[0].startswith(text[start:end])  # as in token=token
            call = not quoted and (same or (after != "" and after in "(["))
            if not call and not (_BLANK if quoted else _CODE).fullmatch(text, start, end):
                yield start, end
        if (match := _SETTING.match(text, at, last)) is not None and not _CODE.fullmatch(text, *match.span(1)):
            yield match.span(1)
        if (match := _INSTEAD.match(text, at, last)) is not None:
            yield match.span(match.lastindex or 0)
    for match in _OTHERS.finditer(text, first, last):
        yield match.span(match.lastindex or 0)
    for match in _ODD.finditer(text, first, last):
        start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        near = max(start, match.start() - NEAR), min(len(text) if end < 0 else end, match.end() + NEAR)
        if _TELLS.search(text, *near) and not _NOT_ODD.fullmatch(match[0]):
            yield match.span()
    for value, name in _BEHIND:
        for match in value.finditer(text, first, last):
            if name.search(text, max(first, match.start() - LONGEST_NAME), match.start()):
                yield match.span(1)


def _begins(text: str, at: int) -> int:
    """Where the word begins in which something stands."""
    return at - len(_WORD_BEFORE.match(text[max(0, at - 60) : at][::-1])[0])  # type: ignore[index]


def _in_columns(text: str) -> Iterator[tuple[int, int]]:
    """The cells of a table below a head that calls them secret, as far as the lines have as many cells."""
    at, cut, columns, count = 0, "", list[int](), 0
    for line in text.split("\n"):
        if columns and line.count(cut) == count:
            start = at
            for number, cell in enumerate(line.split(cut)):
                if number in columns and cell.strip(" -:|\"'"):
                    yield start, start + len(cell)
                start += len(cell) + 1
        else:
            columns = []
            found = _CELLS.search(line) if len(line) < 1000 else None
            if found is not None and any(hint in line.lower() for hint in _HINTS):
                cut = found[0]
                cells, count = line.split(cut), line.count(cut)
                named = all(len(cell) < 60 and ":" not in cell and "=" not in cell for cell in cells)
                columns = [n for n, cell in enumerate(cells) if named and _COLUMN.fullmatch(cell)]
                for number in columns:  # or the name stands before its value
                    start = at + sum(len(cell) + 1 for cell in cells[: number + 1])
                    yield start, start + len(cells[number + 1]) if number + 1 < len(cells) else start
        at += len(line) + 1


def _in_manifests(text: str) -> Iterator[tuple[int, int]]:
    """All values of Kubernetes' Secrets, which are called by other names: of YAML the lines below `data`, of JSON what
    stands in it."""
    start = 0
    while start < len(text):
        stop = text.find("\n---", start + 1)
        stop = len(text) if stop < 0 else stop
        if _MANIFEST.search(text, start, stop):
            yield from _in_manifest(text, start, stop)
        start = stop + 1


def _in_manifest(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The same of what stands between two places."""
    for data in _DATA.finditer(text, start, stop):
        if data["indent"] is None:
            end = text.find("}", data.end(), stop)
            for value in _STRING.finditer(text, data.end(), stop if end < 0 else end):
                yield value.span(1)
            continue
        at = data.end() + 1
        while at < stop:
            end = text.find("\n", at, stop)
            line = text[at : stop if end < 0 else end]
            indent = len(line) - len(line.lstrip(" +-"))
            if line.strip() and indent <= len(data["indent"]):
                break
            yield at + (line.find(": ") + 2 if ": " in line else indent), at + len(line)
            at += len(line) + 1


def _is_card(word: str) -> bool:
    """Whether digits are the number of a card, by their check digit (Luhn's)."""
    digits = [int(c) for c in reversed(word) if c.isdigit()]
    doubled = [n if at % 2 == 0 else 2 * n - 9 * (n > 4) for at, n in enumerate(digits)]
    return len(set(digits)) > 1 and digits[-1] in (3, 4, 5, 6) and sum(doubled) % 10 == 0


def _random(word: str) -> Iterator[tuple[int, int]]:
    """The stretches of a word without spaces that look random: what is left of it once paths and dotted names are taken
    apart."""
    at = 0
    for piece in re.split(r"([./=~]+)", word):
        if len(piece) >= SHORTEST and _is_random(piece):
            yield at, at + len(piece) + len(word[at + len(piece) :]) - len(word[at + len(piece) :].lstrip("="))
        at += len(piece)
    if len(word) >= 32 and _is_random(word) and not re.search(r"[./]{1}[a-z]{1,4}$|/[a-z]{3,}", word):
        yield 0, len(word)


def _is_random(word: str) -> bool:
    kinds = sum(any(test(c) for c in word) for test in (str.islower, str.isupper, str.isdigit))
    if kinds < (2 if len(word) >= MIXED else 3) or not any(map(str.isdigit, word)):
        return False
    written = sum(len(part) for part in _WORDY.findall(word) if len(part) > 3)
    return 3 * written < 2 * len(word) and _entropy(word) >= RANDOM


def _entropy(word: str) -> float:
    counts = Counter(word)
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values())
