"""The words that call something secret, in many tongues and tools, and the words of code that are none.

All patterns are for text in small letters. This module knows nothing of how a text is gone through.
"""

from __future__ import annotations

import re
from functools import cache, partial

from microfiche.proxy.secret_plain import Plain

_KINDS = (
    "api|access|account|private|signing|sign|encryption|encrypt|auth|client|hmac|licen[cs]e|master|shared|storage|deploy"
    "|service|app|application|secret|recovery|activation|product|session|symmetric|aes|wpa|wep|wifi|ssh|pgp|gpg|admin"
    "|root|host|preshared|pre-shared|security|consumer|subscription|function|webhook|server|user|ingest|publishable"
    "|stripe|openai|anthropic|google|azure|aws|vault|unseal|unlock|transit|nonce|logged_in|mnemonic"
)
_TIED = r"[\"'`\]]{0,3}\s{0,9}(?:=>|[:=(,|])"  #: what ties a value to a word that alone is one of prose and of code
#: What calls something secret, wherever it stands.
_ALWAYS = tuple(Plain(word).low for word in (
    "passw", "p@ssw", "passphrase", "passcode", "assword:", "pwd", "credential", "requirepass", "masterauth",
    "authtok", ":{sha", ":{ssha", "securestring", "cookie", "stringdata", "sessid", "authkey", "keypass",
    "storepass", "contrase", "senha", "kennwort", "zugangswort", "zugangscode", "losungswort",
    "wachtwoord", "heslo", "lösenord", "adgangskode", "passord", "palavra-passe", "motdepasse", "código de acceso",
    "clé secrète", "clé d'accès", "clave de acceso", "chave secreta", "slaptazod", "slaptažod", "parool", "kod dostępu",
    "tajny klucz", "tajný kl", "tajný klíč", "geheimnis", "geheimwort", "geheimcode", "gizli anahtar", "khóa bí mật",
    "salasana", "şifre", "jelszó", "lozink", "kata sandi", "mật khẩu", "парол", "гасло", "лозинк", "құпия сөз",
    "секретный ключ", "κωδικό", "συνθηματικ", "密码", "密碼", "口令", "密钥", "密鑰", "秘密鍵", "パスワード",
    "パスフレーズ", "暗証番号", "비밀번호", "암호", "비밀 키", "비밀키", "סיסמ", "كلمة المرور", "كلمة السر",
    "مفتاح سري", "المفتاح السري", "رمز عبور", "पासवर्ड", "รหัสผ่าน", "পাসওয়ার্ড", "mot de passe", "cryptsetup",
    "sshpass", "chpasswd", "net use",
))  # fmt: skip
#: And what does in some surroundings: words of which one stands in it, how many characters may stand before that, and
#: the pattern.
_WITHIN = tuple((hints, back, re.compile(pattern, re.M)) for hints, back, pattern in (
    (("secret",), 0, r"secret(?!ar|i[vo]|ed?\b)"),
    # So is this one, but for what is tied to it, compounds, and heads of tables.
    (("token",), 0, r"(?:(?<=[\w/$&?.\"'`<{-])token|token(?=[\w\"'`\]-]|\s{0,9}[:=|])"
     r"|token(?=\t|[ ]{2}|\s+(?:is|was)\b))"
     r"(?!s\b|s_|s[a-z]|i[sz]|_?(?:count|type|id|limit|usage)\b)|(?<=[ \t]{2})token$"
     r"|tokens(?=[\"'`\]]{0,3}\s{0,3}[:=]\s{0,3}[\[({])"),
    (("token",), 9, r"\b(?:access|auth|api|bearer|refresh|bot|session|secret|personal|deploy|env|arg|setx?|setenv|my"
     r"|your|his|her|use|with"
     r"|using) token\b"),
    (("cred", "pw", "psk", "otp", "cvv", "cvc", "ssn", "mdp", "jwt", "dsn", "psw", "2fa", "mnemonic", "passe"), 1,
     r"pw(?![a-z])|(?<![a-z\d])(?:creds?|psk|c?otp|cvv2?|cvc|ssn|mdp|jwt|dsn|psw|2fa|mnemonics?|passe)(?![a-z])"),
    (("auth", "sid", "mfa", "seed", "wallet"), 0, r"(?<![a-z\d])(?:auths?|sid|mfa|seed|wallet)" + _TIED),
    (("key",), 14, r"(?:" + _KINDS + r")[_ .-]?keys?(?![a-z])|key[_ -]?material|key[_ -]?pass|auth[_-]?keys?\b"
     r"|^[^\w\n]{0,40}key[ \t]{2,}value\b"),
    (("sess",), 0, r"sess(?:ion)?[_ -]?id"),
    (("authorization",), 0,
     r"authorization(?:[\"'`\]\s]{0,9}(?:=>|[:=,\"'`])|\s+(?:header|bearer|basic|token|code)|\W{0,9}$)"),
    (("bearer",), 0, r"bearer(?=\W{1,3}\S{8}|\W{0,3}[\"':=])"),
    (("salt",), 0, r"(?<=[a-z]_)salt(?![a-z])"),
    (("conn",), 0, r"conn(?:ection)?[_ -]?str(?:ing)?"),
    (("pin",), 0, r"pin[ _-]?code|(?<![a-z])pins?(?![a-z])(?=[^\d\n]{0,60}\d{3})"),
    # The word alone is one of prose and of code, but for what is said to a server.
    (("pass",), 0,
     r"(?:(?<=[a-z]_)|(?<=[a-z]-)|(?<=[a-z]\.)|(?<=--)|(?<=[\"'`/$&?{<]))pass(?!ed|es|i|en|a|o|er|thr|band|\w*[({])"
     r"|(?<![a-z])pass(?=[\"'`\]]{0,3}\s{0,9}[:=])"
     r"|(?<=[a-z])(?<!by)(?<!com)(?<!tres)(?<!sur)(?<!tre)(?<!under)(?<!over)pass(?![a-z])"
     r"|(?<![a-z])pass(?=[a-z_]{0,12}[ \t]{0,9}[:=])(?!ed|es|i|en|a|o|er)|\bpass (?:show|insert|ls|-c)\b"),
    (("pass ",), 40, r"^(?:[^\s>:$+]{1,30}[>:$+] ?)?pass \S{1,80}\s*$"),
    (("pass ",), 90, r"\b(?:user|login)\W{1,3}\S{1,80} pass (?=\S)"),
    (("mfa", "2fa", "totp"), 0, r"(?<![a-z])(?:mfa|2fa|totp)[_ -]?(?:backup|seed|secret|code|key)"),
    # What an answer of OAuth holds, and a query to it.
    (("access", "refresh"), 0, r"(?<![a-z])(?:access|refresh)(?:[\"']\s{0,3}:\s{0,3}[\"'][^\s\"']{12}|=[^\s&\"']{12})"),
    (("code", "phrase", "words", "word:"), 14,
     r"(?:seed|recovery|backup|unlock|one[_ -]time|verification|security|login|access|scratch|emergency|secret|wallet"
     r"|mnemonic|sms|activation|confirmation|pass)[_ -]?(?:phrase|code|word)s?"),
    (("identified",), 0, r"identified\s+(?:with\s+\S{1,40}\s+)?by\s+(?:password\s+)?[\"'`]"),
    (("identified by",), 90, r"\b(?:user|role|alter|grant)\b.{1,80}\bidentified by"),
    (("community",), 14, r"snmp\S{0,12}\s+community|community\s+(?:string\b|\S{1,60}\s+r[ow]\b)"),
    (("basic",), 1, r"(?<![a-z])basic\s+[\w+/]{6,200}="),
    ((" data =",), 3, r"== data ="),
    (("clave", "haslo", "parol", "sifre", "geslo", "geheim", "secreto"), 0,
     r"(?<![a-z])(?:clave|haslo|parol[aeo]?|sifre|geslo|geheim|secreto)(?![a-z])"),
    (("-u", "-user"), 8, r"\s-u\s?[\"']?[^\s:\"']{1,60}:[^\s]|\s--(?:proxy-)?user[ =]\S{1,60}:"),
    (("login", "log in", "user "), 42,
     r"\blog ?in(?:\s{0,9}[:=]|\s+(?:is|with)\b)|^(?:\S{1,30}> ?|\S{1,9} )?(?:login|user) \S{1,80} \S{1,80}$"
     r"|\bauth\s+login\b"),
    (("auth plain",), 0, "auth plain"),
    (("login", "log", "sign", "connect", "auth"), 0,
     r"(?:login|log_?on|sign_?in|connect|auth\w{0,12})\W{0,3}[(=:]\s?\(?[bfru]{0,2}[\"'`][^\"'`\n]{0,60}[\"'`]\s*,"),
    (("/p:",), 1, r"\s/p:\S"),
    (("vault",), 0, r"(?<![a-z])vault(?=[\w-]{0,20}[\"']?\s{0,3}[:=])"),
    # Options and subcommands of whatever command that take a secret, and what is said to one instead of typing it.
    ((" -p", " -hp", " -w", " -ap", " -xp", " -up", " /p ", " /rp "), 0,
     r"(?<!mkdir) (?:-(?:h|a|x)?p|-pw|-[uo]pw|-w|/r?p)(?:[ =]|(?=\S*\d)|(?<=-hp))[\"']?"
     r"(?!\d{1,5}(?:[.:/]\d{1,5})*(?:[\s:/\"']|$)|[-|<>$&~./\"'(\[])\S{3}"),
    ((" -k ", " -t ", " -a ", " --auth ", " --auth=", " -auth "), 0,
     r" (?:-k(?= (?!\S*[./])\S{6})|-t(?= (?=\S*\d)\S{6})|-a(?= [\w.@-]{1,40}:\S)|--?auth(?=[ =]\S{3}))"),
    ((" -u", "-creds", ":pserver:"), 0, r" -u ?[^\s%:]{1,40}[%:](?=\S{3})|-creds(?=[ =]\S)|:pserver:"),
    (("<<<",), 0, r"<<<(?=\s?[\"']?[^\s$\"'(])"),
    (("login ", "signin ", "unlock ", "unseal ", "obscure ", "auth ", "set ", "add "), 14,
     r"(?:(?<= )(?:login|signin|unlock|unseal|obscure)|(?<= )auth +\w{1,40}|(?<![a-z])users? (?:set|add)"
     r"|(?:alias|config|account|host)s? (?:set|add)(?: --\S+| [\w.][\w.-]*){0,4}) +[^\s-]\S{2}"),
    (("http-basic", "-oauth", "_auth", "add_user", "user create", "user add", "users add", "user ", "setapikey"), 0,
     r"http-basic|(?<=[a-z])-oauth|(?<![a-z])_auth(?![a-z])|add_user|users? (?:create|add) \S|setapikey"
     r"|user \S{1,40} \S{3,80}(?= /|$)"),
    (("send",), 0, r"send(?:_?line)?[ (]{1,2}(?:-- )?[\"']"), (("read -",), 0, r"read -\w{0,5}s"),
    (("kinit", "qpdf", "wlan", "networksetup", "security import", "zerotier-cli set", "rman target", "surge login"), 0,
     r"kinit|qpdf|wlan\d? [^\n]{0,60}key|networksetup|security import|zerotier-cli set|rman target|surge login"),
))  # fmt: skip
#: Commands, and what takes a secret on their lines.
_COMMAND = re.compile(
    r"\b(?:sudo|smb\w*|rpcclient|redis-cli|ldap\w*|openssl|zip|unzip|7z[ar]?|u?n?rar|mysql\w*|mariadb\w*|mongo\w*|curl"
    r"|wget|https?(?= -)|login|htpasswd|psql|gpg|keytool|ipmitool|snmp\w*|mosquitto_\w+|useradd|usermod|luks\w*"
    r"|ssh-keygen|doctl)\b"
)
_COMMANDS = (
    "sudo", "smb", "rpcclient", "redis-cli", "ldap", "openssl", "zip", "7z", "rar ", "mysql", "mariadb", "mongo",
    "curl", "wget", "http -", "https -", "login", "htpasswd", "gpg", "keytool", "ipmitool", "snmp", "mosquitto",
    "useradd", "usermod", "luks", "ssh-keygen", "doctl",
)  # fmt: skip
_FLAG = re.compile(
    r"\s-(?:p\S|p\s+\S|s\b|\w{0,3}u\s?\S{1,60}[:%]|a\s|[tw]\s|k\s|pass\w*|n\s|c\s\S{1,60}\s|\w{0,3}b\w{0,3}\s)|pass:\S"
)
_NEAR = 200  #: characters behind a word in which its surroundings are looked at
_LINE = 400  #: characters after a command in which it may take a secret


def called(low: str) -> list[tuple[int, int]]:
    """Where a text in small letters calls something secret, in order."""
    found, places = set[tuple[int, int]](), cache(partial(_places, low))
    for word in _ALWAYS:
        found.update((at, at + len(word)) for at in places(word))
    for hints, back, pattern in _WITHIN:
        done = 0
        for at in sorted(at for hint in hints for at in places(hint)):
            if at < done:
                continue
            match = pattern.search(low, max(done, at - back), at + _NEAR) if back else pattern.match(low, at)
            if match is not None:
                found.add(match.span())
                done = match.end()
    done = 0
    for at in sorted(at for word in _COMMANDS for at in places(word)):
        if at < done:
            continue
        end = low.find("\n", at, at + _LINE)
        done = end if end >= 0 else at + _LINE
        begun = _COMMAND.search(low, at and at - 1, done)
        if begun and (flag := _FLAG.search(low, begun.end(), done)):
            found.add((begun.start(), flag.end()))
    return sorted(found)


def _places(text: str, word: str) -> list[int]:
    """Where a word stands in a text."""
    found, at = list[int](), text.find(word)
    while at >= 0:
        found.append(at)
        at = text.find(word, at + len(word))
    return found


#: What unveils a secret.
UNVEILS = re.compile(
    r"(?<![a-z])(?:vault|keychain|keyring|gopass|doppler|infisical|secret-tool|keepass\w*)(?![a-z])"
    r"|\b(?:op|bw|rbw|lpass)\s+(?:item|get|read|show|list|document)\b|\b(?:gpg2?|sops|age|rage|openssl)\b[^\n]*\s-\w{0,5}d\b"
    r"|--?(?:with-)?decrypt|find-(?:generic|internet)-pass"
)
#: Parts of names that call something secret.
PART = re.compile(
    "passw(?:or)?[dt]s?|passwd|passphrase|passcode|pwd?|pass|secrets?|tokens?|credentials?|creds?|cookies?|keys?|api|auth"
    "|login|sid|otp|psk|pin|session|id|access|private|client|refresh"
)
#: Names of what is many words or lines.
PHRASE = re.compile(r"mnemonic|seed|recovery|wallet|backup|scratch|emergency|secret[ _-]?(?:phrase|word)")
#: Words that are no value: those of code, and those that hold prose together.
STOP = frozenset(re.findall(r"\S+", """
    a an the of for to in on at by is was are were be been has have had do does did can could will would shall
    should may might must not no nor and or but if then else elif when while until unless with without from into out
    up down as it its this that these those he she they we you i his her their our your my there here so than too
    very all any each every some none null nil true false undefined self cls super def class return yield import
    lambda pass raise try except finally assert del global nonlocal async await break continue match case const let
    var function fn func fun pub public private protected static final void new delete throw throws catch extends
    implements interface struct enum type typeof instanceof str int bool bytes float dict list set tuple object
    string number boolean char byte short long double unsigned unknown optional option vec map array mut ref impl
    trait use mod export default require include using namespace package print echo cat get test tests passed failed
    skipped error value key name user err ok log logger warn info debug os environ env process config settings
    kwargs args param params returns data current next previous first last old read write parse
"""))
#: How lines of code begin below which others are indented.
BLOCK = re.compile(
    r"\W*(?:def|class|if|elif|for|while|with|fn|func|function|async|await|public|private|protected|static|case|else"
    r"|except|catch|try|match|switch|impl|interface|struct|return|yield|import|from|raise|assert|del)\b"
)
#: Parts of names, by which what has only these is no value: as in user_token, dbPassword.
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+")
#: Files of code and of documents, whose names call nothing.
FILE = re.compile(r"(?<![\w./\\+-])[\w./\\+-]{1,200}"
                  r"\.(?:py[ci]?|[jt]sx?|mjs|go|rs|[ch]|cc|[ch]pp|java|kt|rb|php|cs|swift|scala|md|rst|html|css|so|lock)\b")
#: A line as grep gives it, after its file and number.
PLACE = re.compile(r"([\w./\\-]{1,200})[:-](\d{1,7})[:-]")
