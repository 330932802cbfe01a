"""The shapes of secrets, as patterns: keys that are known, and what tools take in a place of its own.

Sources: the key formats that the vendors document, and memory/folders.py. This module knows nothing of how a text is
gone through.
"""

from __future__ import annotations

import re

SHORTEST, LONGEST = 16, 4096  #: characters of a string that may be random
PRIVATE = 20_000  #: characters of a private key
_PREFIXES = (
    "npm_", "pypi-", "hf_", "dop_v1_", "doo_v1_", "dor_v1_", "shpat_", "shpss_", "SG.", "key-", "lin_api_", "ntn_",
    "secret_", "figd_", "dckr_pat_", "rubygems_", "PMAK-", "nvapi-", "gsk_", "xai-", "r8_", "pplx-", "tvly-", "sntrys_",
    "glc_", "hvs.", "ATATT3", "AGE-SECRET-KEY-1", "pul-", "NRAK-", "EAAC",
)  # fmt: skip
#: Where a match has groups, those are the secret, and else all of it. Each is looked for where its beginning stands.
WORDS = tuple((start, re.compile(pattern)) for starts, pattern in (
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
) for start in starts)
KNOWN = WORDS + tuple((start, re.compile(pattern)) for starts, pattern in (
    (("s.",), r"s\.(?<!\ws\.)[A-Za-z0-9]{24}\b"),
    (("hooks.slack.com", "/api/webhooks/"),
     r"https://hooks\.slack\.com/[\w/-]+|https://discord(?:app)?\.com/api/webhooks/[\w/-]+"),
    (("://",), r"://[^\s/:@'\"]*:([^\s'\"<>]{1,200})@|://([^\s@'\"<>]{8,200})@[\w-]+\."),
    (("sig=", "signature=", "key="), r"[?&](?:sig|signature|key)=([^&\s\"'<>]{8,})"),
    ((":AA",), r"\b\d{6,12}:AA[\w-]{30,}"),
    (("$",), r"\$(?:apr1|argon2\w*|2[abxy]|[156y]|scrypt|krb5\w+|pbkdf2\S{0,20}|sha1)\$[^\s\"'`,;]{8,}"),
    (("@",), r"(?<![\w/.:@-])[\w.$\\/-]{1,60}:([^\s:/@\"'<>]{4,80})@[\w.-]"),
    (("sqlplus", "sqlldr", "expdp", "impdp", "oracle:thin:"),
     r"(?:\b(?:sqlplus|sqlldr|expdp|impdp)\b[^\n]{0,60}?\s|oracle:thin:)[\w.$]+/([^\s@\"']{3,})"),
    (("smb", "rpcclient", "mount", "net "),
     r"\b(?:smb\w+|rpcclient|mount\S*|net)\b[^\n]{0,200}?[-=]U?\s?[\w.\\/-]+%([^\s\"'%]{3,})"),
    ((" -u", " -U", " --user"),
     r"\s(?:-[uU]|--user(?:name)?)[ =]?[\"']?[\w.@\\-]{1,40}[\"']?"
     r"\s[^\n|;&]{0,60}?-[pP][ =]?[\"']?([^\s\"'-][^\s\"']{2,})"),
    (("lftp",), r"\blftp\b[^\n]{0,100}?\s-u\s?[^\s,]{1,60},([^\s\"']{3,})"),
    (("redis-cli",), r"\bredis-cli\b[^\n]{0,100}?\s-a\s+[\"']?([^\s\"']{3,})"),
    ((" LOGIN ",), r"(?m)^\S{1,9} LOGIN \S{1,80} (\S{3,})$"),
    (("random_password",), r"\"random_password\"[^\0]{0,2000}?\"result\"\s{0,4}:\s{0,4}\"([^\"\n]{2,})\""),
    (("chpasswd",), r"\bchpasswd\b[^\n]{0,40}?[\"'][\w.-]+:([^\"'\n]{2,})"),
    (("useradd", "usermod"), r"\buser(?:add|mod)\b[^\n]{0,80}?\s-p[ =]?[\"']?([^\s\"']{3,})"),
    (("snmp",), r"\bsnmp\w+\b[^\n]{0,80}?\s-c[ =]?[\"']?([^\s\"']{3,})"),
    (("ldap",), r"\bldap\w+\b[^\n]{0,200}?\s-w\s+[\"']?([^\s\"']{3,})"),
    (("net use",), r"\bnet use\b[^\n]{0,200}?/user:\S+\s+([^\s/]\S{2,})"),
    (("--from-literal",), r"--from-literal[= ][\"']?[\w.-]+=([^\s\"']{2,})"),
    (("echo", "printf"),
     r"\b(?:echo|printf)\s+(?:-\w+\s+)?[\"']?([^\s\"'|]{3,})[\"']?\s*\|[^\n|]{0,80}?"
     r"(?:\bbase64\b(?! +-+d)|\bgpg\b|--passphrase-fd)"),
    (("WIFI:",), r"\bWIFI:(?:[^;\n]{0,80};){0,4}?P:([^;\n]{3,})"),
    (("\tTRUE\t", "\tFALSE\t"), r"(?m)^\S+\t(?:TRUE|FALSE)\t\S+\t(?:TRUE|FALSE)\t\d+\t\S+\t(\S+)$"),  # a jar of cookies
    ((":",), r"(?m)^[+ -]?[\w.*-]+:(?:\d{2,5}|\*):[\w*-]+:[\w.*-]+:(\S+)$"),  # a line of ~/.pgpass
    ((" login",),
     r"\b(?:docker|podman|nerdctl|helm|oras|crane|buildah|skopeo|az|oc|bw)\b[^\n]{0,60}? login\b[^\n]{0,200}?"
     r"\s-p[ =]?[\"']?([^\s\"']+)"),
    (("-p", "-P"),
     r"\b(?:zip|unzip|zipcloak|7z[ar]?|rar|unrar)\b[^\n]{0,200}?\s-(?:P\s{0,2}|p)[\"']?([^\s\"']{3,})"),
    (("ssh-keygen",), r"\bssh-keygen\b[^\n]{0,200}?\s-[NP]\s+[\"']?([^\s\"']{3,})"),
    (("openssl",), r"\bopenssl\b[^\n]{0,200}?\s(?:-k\s+[\"']?|pass:)([^\s\"']{3,})"),
    (("sudo ", "-stdin", "passwd"),
     r"\b(?:echo|printf)\s+(?:-\w+\s+)?[\"']?([^\s\"'|]{3,})[\"']?\s*\|[^\n|]{0,80}?"
     r"(?:\bsudo\s+-\w*S|--?passw\w*-stdin|\bchpasswd|\bpasswd)\b"),
    (("vault ",), r"\bvault\s+(?:kv\s+)?(?:put|write|patch)\s+\S+[ \t]+([^\n]{3,300})"),
    (("Private-Lines:", "Private-MAC:"), r"Private-Lines: \d+\n((?:[A-Za-z0-9+/=]+\n?)+)|Private-MAC: (\w+)"),
) for start in starts)  # fmt: skip
MANIFEST = re.compile(r"[\"']?\bkind[\"']?:[ \t]*[\"']?Secret\b(?!\w)")
DATA = re.compile(r"(?m)^(?P<indent>[ +-]*)(?:data|stringData):[ \t]*$|\"(?:data|stringData)\"\s*:\s*\{")
#: Cookies as a browser records them, and the value of each.
COOKIES = re.compile(r"\"cookies\"\s{0,4}:\s{0,4}\[")
VALUE = re.compile(r"\"value\"\s{0,4}:\s{0,4}\"((?:[^\"\\\n]|\\.)+)\"")
STRING = re.compile(r":\s*\"((?:[^\"\\\n]|\\.)+)\"")
BEGUN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
CARD = re.compile(
    r"\d(?<![\w.-]\d)(?:[ -]?\d){12,18}(?![\w.-]?\d)|\d(?<![\w.-]\d)\d{3}(?:[ \t\xa0./-]{1,3}\d{4}){3}(?![\w.-]?\d)"
)
INSURED = re.compile(r"\d(?<![\w-]\d)\d{2}-\d{2}-\d{4}(?![\w-])")
#: What stands after a name without quotes in code, where it is no value: types, variables, members.
CODE = re.compile(
    r"(?:None|null|nil|true|false|True|False|undefined|str|string|int|bool|bytes|object|number|boolean|unknown|Any|any"
    r"|String|Bool|Boolean|Int|Integer|Object|Bytes|Optional|Option|Text|self|this|cls|\.\.\.|\*+|\$\{?\w+\}?|%\w+%?"
    r"|<[^>]*>?|process\.env.*|os\.\w+.*|(?:self|this|cls|config|cfg|conf|settings|args|opts|options|env|environ|process"
    r"|request|req|response|resp|data|params|kwargs|ctx|context|app|user|session|client|auth|credentials|var|local|module"
    r"|event|row|obj|node|state|props|match|parsed|result|payload|body|form|headers)\.[\w.]+)[,;.)]*",
    re.ASCII,
)
BLANK = re.compile(r"(?i)\*+|\.{3}|…|x{3,}|\$\{?\w+\}?|\$\{\{[^}]*\}\}|%\w+%?|<[^>]*>|\{\w*\}|string|null|none")
LONG = re.compile(rf"[A-Za-z0-9_+/=~.-]{{{SHORTEST},{LONGEST}}}")
#: How the end of a line cuts a word, in code, in mails or in a terminal, between two characters of it.
SEAM = re.compile(r"(?<=[\w-])[\"'`]?[ \t]{0,3}[+\\.&=]?[ \t]{0,3}\r?\n[ \t>|#*+]{0,40}[\"'`]?(?=\w)")
#: What stands alone on its line, or in quotes, without blanks, with signs.
LONE = re.compile(r"(?m)(?<=[\"'`])[^\s\"'`]{10,64}(?=[\"'`])|^[\s>*+-]{0,40}([^\s\"'`]{10,64})[ \t\r]*$")
HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
HEX_RUN = re.compile(r"[0-9a-fA-F-]{32,}")
WORDY = re.compile(r"[A-Z]?[a-z]{3,}|(?<![A-Za-z0-9])[A-Z]{3,}(?![A-Za-z0-9])")
