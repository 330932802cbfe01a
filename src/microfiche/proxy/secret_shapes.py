"""The shapes of secrets, as patterns: keys that are known, names that call a value secret, and the value.

Sources: the key formats that the vendors document, and memory/folders.py. This module knows nothing of how a text is
gone through.
"""

from __future__ import annotations

import re

SHORTEST, LONGEST = 16, 4096  #: characters of a string that may be random
PRIVATE = 20_000  #: characters of a private key
#: What stands in a text that may call something secret, in small letters.
HINTS = ("pass", "pw", "secret", "token", "cred", "key", "cookie", "sess", "auth", "dsn", "connection", "pin",
          "psk", "cvv", "cvc", "ssn", "otp", "mnemonic", "phrase", "code", "mdp", "login", "recovery", "verification",
          "securestring", "bearer", "basic", "identified", "net user", " -u", "-user", "assword", "salt",
          "contrase", "senha", "kennwort",
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
    r"|(?<=[a-z]_)salt(?![a-z])|pass(?!ed|es|ing|en|iv|age|port|ion)|(?<![a-z])(?:pw|psk|otp|cvv|cvc|ssn|mdp|mnemonic)(?![a-z])"
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
KNOWN = tuple((start, re.compile(pattern)) for starts, pattern in (
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
    (("s.",), r"s\.(?<!\ws\.)[A-Za-z0-9]{24}\b"),
    (("hooks.slack.com", "/api/webhooks/"),
     r"https://hooks\.slack\.com/[\w/-]+|https://discord(?:app)?\.com/api/webhooks/[\w/-]+"),
    (("://",), r"://[^\s/:@'\"]*:([^\s/@'\"]+)@|://([0-9a-f]{16,})@"),
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
    (("WIFI:",), r"\bWIFI:(?:[^;\n]*;){0,4}?P:([^;\n]{3,})"),
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
NAMED = re.compile(
    r"(?i)(?<![\w.-])" + _NAME + _SHUT + r"\s{0,4}(=>|:=|[:=：])(?:\s|\x1b\[[\d;]*m){0,6}"
    r"(?:(?:bearer|basic|token|digest)\s+)?(?:" + _QUOTED + "|" + _BARE + ")"
)
CALLED, WORD_BEFORE = re.compile(_CORE), re.compile(r"[\w.-]*")  # small letters are looked for in what is lowered
#: A setting, of which all that follows the name in its line is the value.
SETTING = re.compile(r"(?im)(?<![\w.-])" + _NAME + r"[ \t]*[:=][ \t]*([^\s\"'`(){}\[\]<>,][^\n(){}\[\]]{2,300})$")
#: Others, in small letters, and something that stands in each.
OTHERS = tuple((parts, re.compile(pattern)) for parts, pattern in (
    (("val", "content", "default"),
     r"\b(?:name|key|id|field|label|property|variable|param(?:eter)?)" + _SHUT + r"\s*[:=]\s*(?:\\*[\"'])?" + _NAME
     + _SHUT + r"[\s,]{1,40}(?:-\s+)?(?:\\*[\"'])?(?:value|val|content|default)" + _SHUT
     + r"\s*[:=]\s*(?:\\*[\"']([^\"'\n\\]{2,})|([^\s,;<>\"']{2,}))"),
    (("(",),
     r"(?:set|with|use|enter|verify|check|change)_?(?:passw(?:or)?d|passphrase|passcode|secret|token|credentials?|api_?key)"
     r"\(\s*[bfru]{0,2}[\"'`]([^\"'`\n]{3,})[\"'`]"),
    (("-",),
     r"(?<!\w)--?(?:[a-z0-9]{1,20}[-_.]){0,3}(?:passwo?r?d|passphrase|passcode|pass|pwd|token|secret|api-?key|auth"
     r"|credentials?)[ =]+[\"']?([^\s\"'-][^\s\"']{2,})"),
    (("-u", "user", "mysql"),
     r"(?:^|\s)-(?:u|-(?:[a-z]{1,9}-)?user)[ =]?[\"']?[^\s:\"']+:([^\s\"']+)"
     r"|\bmysql\w{0,9}\b[^\n]{0,200}?\s-p([^\s\"']+)"),
    (("sshpass", "user", "requirepass"),
     r"\bsshpass\s+-p\s*[\"']?([^\s\"']+)|\bnet\s+user\s+\S+\s+([^\s/*]\S+)|\brequirepass\s+(\S+)"),
    (("env", "arg", "set"),
     r"\b(?:env|arg|setx|set)\s+" + _NAME + r"\s+[\"']?([^\s\"'=]{3,})"),
    (("identified", "password"),
     r"\b(?:identified\s+(?:with\s+\S+\s+)?by|password)\s+[\"']([^\"'\n]+)[\"']"),
    (("bearer", "basic", "auth"),
     r"\b(?:bearer|basic|auth\s+(?:plain|login))\s+([\w.~+/=-]{8,})|[\"']_?auth[\"']\s*:\s*[\"']([\w+/=-]{8,})"),
    (("password",),
     r"\blogin\s+\S{1,80}\s+password\s+(\S{2,})|(?:^|\s)(?:machine\s+\S+\s+(?:login\s+\S+\s+)?)?password\s+([^\s\"',;:.]{6,})(?=\s|$)"),
    (("pass", "pin", "secret", "token", "kennwort", "contraseña", "senha", "wachtwoord", "hasło", "heslo", "lösenord",
      "пароль"),
     r"\b(?:password|passphrase|passcode|pin|secret|token|passwort|kennwort|mot de passe|contraseña|senha|wachtwoord"
     r"|hasło|heslo|lösenord|пароль)\s+(?:is|was|ist|war|lautet|est|es|era|é|jest|je|är|это)\s*:?\s*"
     r"[\"'`]?([^\s\"'`]{4,})"),
    (("pass", "pin", "пароль", "kennwort", "contraseña", "senha"),
     r"\b(?:password|passphrase|passcode|pin|пароль|passwort|kennwort|contraseña|senha|mot de passe)\s+"
     r"[^\n:\"'(){}=]{1,60}:\s*(\S{3,})"),
    (("key", "pw", "passcode"),
     r"\b(?:" + _KEYS + r"|pw|passcode)\s+(?:is\s+|was\s+)?[\"'`]?(?=\S*\d)([\w./+=-]{6,})"),
    (("pin", "cvv", "cvc", "otp", "code"),
     r"\b(?:pin|cvv|cvc|otp|(?:verification|security|one[- ]time|login|access|sms|2fa)\s(?:pass)?code)\b"
     r"[\"']?\s{0,3}(?:is|code|[:=#])?\s{0,3}[\"']?(\d{3,8})\b"),
    (("cookie:",),
     r"(?:^|[\s;])(?:set-)?cookie:\s*([^\n]{6,})"),
    (("</",),
     r"<" + _NAME + r"(?:\s[^<>\n]{0,200})?>([^<\n]{3,})</"),
    (("</",),
     r"<\w[^<>\n]{0,80}[\"']" + _NAME + r"[\"'][^<>\n]{0,80}>([^<\n]{3,})</"),
    (("type",),
     r"\btype\s*=\s*[\"']?password[^<>\n]{0,120}?\bvalue\s*=\s*[\"']([^\"'\n]{2,})[\"']"),
    (("login", "auth", "credential", "sign", "log", "connect"),
     r"(?:login|auth|credentials?|sign_?in|log_?on|connect)\W{0,3}[(=:]{1,2}\s*\(?\s*[bfru]{0,2}[\"'`][^\"'`\n]{0,80}[\"'`]\s*,\s*"
     r"[bfru]{0,2}[\"'`]([^\"'`\n]{2,})[\"'`]"),
    (("securestring", "htpasswd"),
     r"securestring\s+[\"']([^\"'\n]{2,})[\"']|\bhtpasswd\b[^\n]{0,80}?-\w*b\w*\s+\S+\s+\S+\s+(\S+)"),
    (("secret",),
     r"\bsecrets?\s+(?:set|put|create|add)\b[^\n]{0,80}?\s(?:--?\w+[ =])[\"']?([^\s\"']{2,})"),
    (("send",),
     r"(?:assword|passphrase|passcode|пароль)[^\n]{0,40}\n\s*send\w*\s+(?:--\s+)?[\"']([^\"'\n\\]{2,})"),
))  # fmt: skip
#: What may be a value without what stands before it being looked at, and what then has to stand there: a block of YAML
#: after its key, and the second of two strings in a call.
BEHIND = tuple((re.compile(value), re.compile(f"{_NAME}{end}\\Z")) for value, end in (
    (r":[ \t]*[|>][+-]?\d?[ \t]*\n(?=((?:[ \t]+\S[^\n]*\n?){1,40}))", "[\"']?"),
    (r"[\"']\s*,\s*(?=[\"']([^\"'\n]{3,})[\"'])", ""),
))  # fmt: skip
LONGEST_NAME = 90  #: characters of what calls something secret
MANIFEST = re.compile(r"[\"']?\bkind[\"']?:[ \t]*[\"']?Secret\b(?!\w)")
DATA = re.compile(r"(?m)^(?P<indent>[ +-]*)(?:data|stringData):[ \t]*$|\"(?:data|stringData)\"\s*:\s*\{")
#: Cookies as a browser records them, and the value of each.
COOKIES = re.compile(r"\"cookies\"\s{0,4}:\s{0,4}\[")
VALUE = re.compile(r"\"value\"\s{0,4}:\s{0,4}\"((?:[^\"\\\n]|\\.)+)\"")
STRING = re.compile(r":\s*\"((?:[^\"\\\n]|\\.)+)\"")
BEGUN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
CARD = re.compile(r"\d(?<![\w.-]\d)(?:[ -]?\d){12,18}(?![\w.-]?\d)")
INSURED = re.compile(r"\d(?<![\w-]\d)\d{2}-\d{2}-\d{4}(?![\w-])")
CELLS, LINE_END = re.compile(r"[|\t,;]"), re.compile(r"\n")
COLUMN = re.compile(r"[\s\"'`]*" + _NAME + r"[\s\"'`]*")
#: What stands after a name as a value for want of another, or as several.
INSTEAD = re.compile(
    r"(?i)(?<![\w.-])" + _NAME + r"(?::-[\"']?([^\s\"'{}]{2,})\}"
    r"|[\w.\[\]()\"' =]{0,60}?(?:\|\||\?\?|\bor\b)\s*[\"'`]([^\"'`\n]{2,})"
    r"|s?\s*[:=]\s*[\[({]([^\n\[\](){}]{3,300})[\])}])"
)
#: A line of which each odd word may be a secret, the words that are, and those that are not.
TELLS = re.compile(
    r"passw|passphrase|passcode|kennwort|contraseñ|пароль|(?<![a-z])(?:pwd?|mdp|pin|otp|log-?in|credentials?|secrets?)(?![a-z])"
    r"|one.time|verification|activation|product key|licen[cs]e key|recovery"
)
ODD = re.compile(
    r"(?<![\w./\\@:$!#%&*+?^~=-])(?=[^\W\d]{0,64}\d|\w{0,64}[!#%&*+?^~=-])(?=\S{0,64}\d)(?=\S{0,64}[^\W\d])"
    r"[\w!#%&*+?^~=-]{5,64}(?![\w(/\\\[:@!#%&*+?^~=-]|\.\w)"
)
NOT_ODD = re.compile(
    r"(?i)[a-z]+\d?_\w*|\w+_[a-z]*\d*|sha-?\d+|md[45]|utf-?\d+|base\d\d|u?int\d+|float\d+|x86\w*|ipv[46]|oauth2?|http2|pbkdf2|argon2\w*"
    r"|aes-?\d+\S*|rsa-?\d+|ed25519|v\d\S*|\d+(?:px|ms|kb|mb|gb|th|st|nd|rd|min|sec|days?)|\d{4}-\d\d-\d\d\S*|\w+=\S*|\W*\d\S*\W|[+-]\w+"
)
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
HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
HEX_RUN = re.compile(r"[0-9a-fA-F-]{32,}")
#: What counts for a letter of ASCII where capitals do not count.
LIKE = {"\u0130": "i", "\u0131": "i", "\u017f": "s"}
WORDY = re.compile(r"[A-Z]?[a-z]{3,}|(?<![A-Za-z0-9])[A-Z]{3,}(?![A-Za-z0-9])")
