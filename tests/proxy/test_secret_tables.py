"""Values far below the name that calls them secret are found, and names in whatever letters and escapes."""

from __future__ import annotations

import json
import random
import string
from unicodedata import normalize
from urllib.parse import quote

import pytest

from microfiche.proxy.secret import secrets_in

RNG = random.Random(202)
KINDS = (string.ascii_lowercase, string.digits, string.ascii_letters + string.digits)
#: The head of a table, its rows (# is a number, § the secret), what stands between them and below them.
TABLES = {
    "COPY": ("COPY t (id, password) FROM stdin;\n", "#\t§", "\n", "\n\\.\n"),
    "COPY over lines": ("COPY t (\n  password,\n  id\n) FROM stdin;\n", "§\t#", "\n", "\n\\.\n"),
    "INSERT": ("INSERT INTO t (id, pwd)\nVALUES\n", "  (#, '§')", ",\n", ";\n"),
    "one line": ("INSERT INTO t (id, pwd) VALUES ", "(#,'§')", ",", ";\n"),
    "a table": ("CREATE TABLE `t` (\n `id` int,\n `passwd` text\n);\nINSERT INTO `t` VALUES ", "(#,'§')", ",", ";\n"),
    "columns": ('{"columns": ["id", "password"], "data": [', '[#, "§"]', ", ", "]}\n"),
    "JSON": ('[\n["id", "api_key"],\n', '["#", "§"]', ",\n", "\n]\n"),
    "lines of JSON": ('["id", "api_key"]\n', '["#", "§"]', "\n", "\n"),
    "CSV": ("id,password\n", "#,§", "\n# more\n\n", "\n"),
    "box": ("┌──┬──┐\n│ id │ password │\n├──┼──┤\n", "│ # │ § │", "\n├──┼──┤\n", "\n└──┴──┘\n"),
    "typescript": ("====  ========\nid    password\n====  ========\n", "#  §", "\n", "\n====  ========\n"),
    "fixed": ("ID    PASSWORD    NOTE\n", "#    §    ok", "\n\n", "\n"),
    "YAML": ("passwords:\n", "  - §", "\n", "\n"),
    "list": ("The passwords of all accounts:\n\n", "* §", "\n", "\n"),
    "mapping": ("passwords = {\n", "    'u#': '§',", "\n", "\n}\n"),
    "HTML": ("<table><tr><th>id</th><th>password</th></tr>\n", "<tr><td>#</td><td>§</td></tr>", "\n", "\n</table>\n"),
    "section": ("[passwords]\n", "u# = §", "\n", "\n"),
    "in place": ("chpasswd <<END\n", "u#:§", "\n", "\nEND\n"),
}
NAMES = ("password", "비밀번호", "mật khẩu", "jelszó", "Lösenord", "clé secrète", "パスワード", "पासवर्ड",
         "tajný klíč", "гасло")
ESCAPES = {
    "octal": "\\{0:03o}", "braces": "\\u{{{0:x}}}", "twice": "\\\\u{0:04x}", "entity": "&#{0:05d};",
    "amp": "&amp;#{0};", "long": "\\U{0:08x}", "pieces": "{1}\" + \"",
}  # fmt: skip


def made() -> str:
    return "".join(RNG.choices(RNG.choice(KINDS), k=11))


def is_found(text: str, secret: str) -> bool:
    at = text.index(secret)
    return any(start <= at and at + len(secret) <= end for start, end in secrets_in(text))


@pytest.mark.parametrize("table", TABLES)
def test_a_value_is_found_however_far_below_the_name_of_its_column(table: str) -> None:
    head, row, between, end = TABLES[table]
    for place in (0, 70, 140):
        rows = [row.replace("#", str(n)).replace("§", made()) for n in range(141)]
        secret = made()
        rows[place] = row.replace("#", str(place)).replace("§", secret)
        text = f"what is above\n\n{head}{between.join(rows)}{end}\nwhat is below\nstays\n"
        assert is_found(text, secret), (place, text[:200])
        assert secrets_in(text)[-1][1] <= text.index("stays")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_known_in_whatever_characters_it_is_written(name: str) -> None:
    for form in ("NFC", "NFD", "NFKD"):
        for hidden in ("", "\u202e", "\u2066", "\ufe0f", "\u180e", "\xad", "\u034f", "\U000e0061"):
            written = hidden.join(normalize(form, name.upper() if hidden else name))
            text, secret = "", made()
            text = f"above\n{written}: {secret}\nbelow"
            assert is_found(text, secret), (form, hidden)


@pytest.mark.parametrize("name", ["раѕѕwοrd", "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝", "ⓟⓐⓢⓢⓦⓞⓡⓓ", "ｐａｓｓｗｏｒｄ", "ﾊﾟｽﾜｰﾄﾞ"])
def test_a_name_in_letters_that_look_alike_is_known(name: str) -> None:
    assert is_found(f"above\n{name}: tulip\nbelow", "tulip")


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_key_is_known_in_any_escape(escape: str) -> None:
    for start in ("ghp_", "sk-proj-", "glpat-", "password="):
        key = start + "".join(RNG.choices(string.ascii_letters + string.digits, k=36))
        said = "".join(ESCAPES[escape].format(ord(c), c) for c in key)
        assert is_found(f'above\nit is "{said}" now\nbelow', said)


def test_a_key_is_known_that_is_escaped_in_an_address_twice() -> None:
    key = "ghp_" + "".join(RNG.choices(string.ascii_letters + string.digits, k=36))
    once = "".join(f"%{ord(c):02X}" for c in key)
    for said in (quote(once), quote(quote(once))):
        assert is_found(f"above\nit is {said} now\nbelow", said)


def test_lists_of_names_in_code_have_no_values_below() -> None:
    code = json.dumps({"required": ["user", "password"], "type": "object"})
    code += "\nFIELDS = ['user', 'password']\nx = [1]\n"
    assert not [span for span in secrets_in(code) if span[1] > code.index("\n") and span[0] > code.index("x = ")]


@pytest.mark.parametrize("command", [
    "kinit bob <<< §", "rabbitmqctl add_user bob §", "netsh wlan set hostednetwork ssid=home key=§",
    "qpdf --encrypt § § 256 --", "bw unlock §",
    "mc alias set s3 https://minio.x ABCD §", "cf auth bob §", "vault operator unseal §", "cargo login §",
    "some-new-tool -u bob -p § --host x", "xh -a bob:§ x", "winexe -U bob%§ //h cmd", "gem push -k § x.gem",
    "npm config set _auth §", "poetry config http-basic.foo bob §", "rar a -hp§ a.rar b", "signtool sign /f c /p § x",
    'expect "PIN:"\nsend "§\\r"', "child.expect('word:')\nchild.sendline('§')", "$ read -rs K\n§",
    "net.exe user bob § /add",
])  # fmt: skip
def test_what_a_command_takes_as_a_secret_is_found(command: str) -> None:
    for prompt in ("", "$ ", "bob@host:~$ ", "  - run: "):
        secret = made() + "7"
        assert is_found(f"above\n{prompt}{command.replace('§', secret)}\nbelow", secret), prompt


@pytest.mark.parametrize("line", [
    "mkdir -p src/microfiche", "ssh -p 22 host", "docker run -p 80:80 nginx", "git add -p", "cp -a src dst",
])  # fmt: skip
def test_ordinary_commands_take_none(line: str) -> None:
    assert not secrets_in(f"above\n{line}\nbelow")


@pytest.mark.parametrize("joint", ['" +\n      "', "\n", "\\\n", "=\n", '"\n    "'])
def test_a_key_that_lines_cut_anywhere_within_words_is_found(joint: str) -> None:
    for start in ("ghp_", "sk-proj-"):
        key = start + "".join(RNG.choices(string.ascii_letters + string.digits, k=30)) + "7"
        pieces = [key[:10], key[10:23], key[23:]]
        text = f'above\nthe value "{joint.join(pieces)}" is here\nbelow'
        assert all(is_found(text, piece) for piece in pieces), text


def test_a_word_alone_with_all_kinds_of_characters_is_taken_for_a_password() -> None:
    for shape in ("§", '  "§",', "x = '§'", "> §", "- §", "it is `§` now"):
        assert is_found(f"above\n{shape.replace('§', 'k9$Lm2&xQ!4vTr#8')}\nbelow", "k9$Lm2&xQ!4vTr#8")
    for line in ("'%Y-%m-%dT%H:%M:%S'", "https://docs.Example.org/3/Library.html#x"):
        assert not secrets_in(f"above\n{line}\nbelow"), line


def test_no_text_of_any_size_takes_long() -> None:
    """None of these is gone through by the square of its length, which would take hours."""
    for text in ('["password",' * 20_000, "insert into a (password) values " * 4_000,
                 "create table a (password " * 4_000,
                 "".join(f"cat <<E{n} password\n" for n in range(4_000)), "[password]\na = b\n" * 6_000,
                 "\\" * 99_000, "%25" * 50_000, "&amp;" * 30_000, "\"+\"" * 40_000, "<th>password " * 9_000,
                 "alias set " + "--a " * 40_000, "AKIA\n" * 30_000, "user login " * 9_000,
                 "aA1!" * 30_000):  # fmt: skip
        secrets_in(text)
