"""Secrets of every shape are found, in whatever stands around them, and ordinary code holds none."""

from __future__ import annotations

import random
import re
import string

import pytest

from microfiche.proxy.secret import secrets_in

RNG = random.Random(20)
WORD = "".join(RNG.choices(string.ascii_letters + string.digits, k=90))
HEX = "".join(RNG.choices("0123456789abcdef", k=64))
#: Lines with a secret in the place of @, which is what follows.
SHAPES = [
    ("aws_session_token: @", WORD + "=="), ("AccountName=x;AccountKey=@;EndpointSuffix=core.net", WORD[:86] + "=="),
    ("https://x.blob.core.windows.net/c?sv=2023&sig=@&se=1", WORD[:43] + "%3D"),
    ("the bot @ works", f"123456789:AA{WORD[:33]}"),
    ("mailchimp @-us12", HEX[:32]), ("https://@@o1.ingest.sentry.io/12", HEX[:32]),
    ("key is NRAK-@", WORD[:27].upper()),
    ("localhost:5432:db:bob:@", "hunter2x"), ("root:@:19000:0:99999:7:::", f"$6$abc${WORD[:86]}"),
    ("admin:@", f"$2b$12${WORD[:53]}"), ("bob:@", f"$apr1$abcd${WORD[:22]}"),
    ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n@\nPrivate-MAC: 12", "AAAA" + WORD[:40]),
    ('"auths": {"x": {"auth": "@"}}', "Ym9iOmh1bnRlcjI="), ("//registry.npmjs.org/:_authToken=@", WORD[:36]),
    ("https://bob:@@github.com/x", "sekret99"), ("client-key-data: @", "LS0t" + WORD[:60]),
    ("SECRET_KEY = '@'", "django-insecure-#$%^&a(b)"), ("DB_PASS=@", "pa55"), ("MYSQL_PWD=@ mysql", "pa55w"),
    ("sshpass -p @ ssh bob@x", "s3same"), ("PGPASSWORD=@ psql", "opensesame"), ('psk="@"', "home wifi key"),
    ("requirepass @", "redispw1"), ("CREATE USER bob IDENTIFIED BY '@';", "sqlpw!"),
    ("ALTER USER bob WITH PASSWORD '@';", "sqlpw2"), ("vault kv put secret/foo password=@", "bar99"),
    ("X-Api-Key: @", "abcd-1234"), ("x-goog-api-key: @", "zzzz9"), ("Set-Cookie: session=@; Path=/", "s%3Aabc"),
    ("sessionid=@", "ab12cd"), ('{"refresh_token": "@"}', "1//0abc"),
    ("otpauth://totp/x?secret=@&issuer=y", "JBSWY3DPEHPK3PXP"),
    ("mnemonic: @", "abandon ability able about above absent"), ("seed phrase: @", "abandon ability able about"),
    ("eth 0x@", HEX), ("Passwort: @", "geheim1"), ("mot de passe : @", "motus1"), ("contraseña: @", "abrete1"),
    ("пароль: @", "тайна12"), ("密码：@", "mima123"), ("net user bob @ /add", "Sesame1!"),
    ("Server=x;Password=@;Db=y", "xyzzy1"),
    ("Server=x;Pwd=@;", "xyzzy2"), ('"{\\"password\\": \\"@\\"}"', "escaped1"), ("password: >-\n   @", "folded1"),
    ("password: |\n  @", "literal2"), ('<x password="@"/>', "attr1"), ('<add key="ApiKey" value="@"/>', "valued1"),
    ("<password>@</password>", "element1"), ("db.password=@", "prop1"), ('os.environ["API_KEY"] = "@"', "envpy1"),
    ("define('DB_PASSWORD', '@');", "php1x"), ("'password' => '@',", "rb1xx"), ("curl -u bob:@ https://x", "curl1"),
    ("curl --user bob:@ x", "curl2"), ("tool --password @", "opt1x"), ("mysql -h x -u bob -p@ db", "Sqlpw9"),
    ("| password | @ |", "cell1"), ("| user | password |\n|---|---|\n| bob | @ |", "cell2"),
    ("username,password,age\nann,x,2\nbob,@,3", "cell3"), ("name\tapi_key\nann\tx\nbob\t@", "cell4"),
    ("Password for bob: @", "prompt1"), ("the root password is @", "sentence1"), ("ENV API_TOKEN @", "docker1x"),
    ("- name: DB_PASSWORD\n  value: @", "kubernetes1"), ('{"name": "DB_PASSWORD", "value": "@"}', "ecs1"),
    ("setx TOKEN @", "setx1a"), ("$env:TOKEN = '@'", "ps1abc"), ("?access_token=@&b=1", "urltok2"),
    ("redis://:@@h:6379", "pw1rd"), ("mongodb+srv://u:@@c.mongodb.net", "pw3rd"),
    ("LICENSE-KEY: @", "ABCDE-12345-FGHIJ"),
    ("pin: @", "4321"), ("CVV: @", "123"), ("card @ there", "4111 1111 1111 1111"), ("her number @ is", "078-05-1120"),
    ("recovery code: @", "7f3k-9q2m"), ("hmac_key: @", HEX[:24]), ("passphrase: @", "open the door"),
    ("pw: @", "short1"),
    ("apikey @", "blank1x"), ("API KEY = @", "supersecret"), ("secret key: @", "correct_horse_battery"),
    ("password: @, user: bob", "hunter"), ("{password: @, x: 1}", "hunter2"), ("f(password=@, x=1)", "Sunshine"),
    ("token: \x1b[31m@\x1b[0m", "ansi123"), ("key_material = b'@'", "rawkey12"),
    ("s.@", WORD[:24]),
    ("docker login -u joe -p @ reg.example", "dockpw1"), ("podman login reg.example -u joe -p=@", "podpw12"),
    ("zip -P @ a.zip b", "zippw1"), ("7z x -p@ a.7z", "sevenpw"), ("unrar x -p@ a.rar", "rarpw12"),
    ("ssh-keygen -t ed25519 -N '@' -f k", "keygen1"), ("gpg --batch --passphrase @ -d x", "gpgpw1"),
    ("openssl enc -aes-256-cbc -k @ -in x", "sslpw1"), ("openssl rsa -passin pass:@ -in k", "sslpw2"),
    ("tool --db-password=@ --host h", "dbopt1"), ("tool --registry-token @", "regtok1"),
    ("echo '@' | sudo -S ls", "sudopw1"), ("echo @ | docker login --password-stdin reg", "stdinpw"),
    ("vault kv put secret/x value=@ ttl=1h", "vaultpw"), ("user.setPassword('@')", "called1"),
    ('client.with_token("@")', "called2"), ("Das Passwort lautet @", "geheim22"), ("le mot de passe est @", "motus22"),
    ("la contraseña es @", "abrete22"),
    ("apiVersion: v1\nkind: Secret\nstringData:\n  user: joe\n  db: @\ntype: Opaque", "kubepw1"),
    ('{"kind": "Secret", "data": {"a": "eA==", "b": "@"}}', "aHVudGVy"),
    ("t: @", "wCvyDbhkJ2SjCMie"),
    (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WORD[:70]}\n@\n-----END OPENSSH PRIVATE KEY-----", "Qk9k=="),
    (f"my-key.pem:1:-----BEGIN RSA PRIVATE KEY-----\nmy-key.pem:2:{WORD[:64]}\nmy-key.pem:3:@\n"
     "my-key.pem:4:-----END RSA PRIVATE KEY-----", "Qk9kx=="),
    ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n@\n---- END SSH2 ENCRYPTED PRIVATE KEY ----", "P2/56wAAAgIAAAAm"),
]  # fmt: skip
CODE = """
def token(self, tokens: int = 3, password: str | None = None) -> None:
    return self.token or os.environ['X']
x = connect(user=user, password=password, api_key=self.api_key, token=config.token)
assert passed == 12 and not failed; print(f"{passed} passed, {failed} failed"); key = value; keys = sorted(d)
password: string; secret?: boolean; max_tokens = 4096; token_count: 12; "password": "string", "token": "${TOKEN}"
| name | keys | code |
src/microfiche/training/real_pages.py microfiche.memory.calibration getElementsByClassName2 MAX_TOKENS_1
at 1700000000000, 12345678901234, 3.14159265358979, 2026-11-26T10:00:00
"""


@pytest.mark.parametrize("around", ["@", "  12\t@", "+@", "before it @"], ids=["alone", "numbered", "diff", "behind"])
def test_secrets_of_every_shape_are_found(around: str) -> None:
    missed = []
    for shape, secret in SHAPES:
        table = shape.startswith(("localhost", "username", "name\t", "| "))
        if table and around in ("before it @", "  12\t@"):
            continue  # tables and ~/.pgpass begin with their lines, and numbers are left off before this
        line = shape.replace("@", secret, 1) if not shape.count("@@") else shape.replace("@@", f"{secret}@")
        text = f"a line before\n{around.replace('@', line)}\nand a line after"
        at = text.index(secret)
        found = {place for start, stop in secrets_in(text) for place in range(start, stop)}
        missed += [(line, secret)] if any(place not in found for place in range(at, at + len(secret))) else []
    assert not missed, missed


def test_ordinary_code_holds_no_secret() -> None:
    assert [CODE[start:stop] for start, stop in secrets_in(CODE)] == []


def test_no_text_takes_long_to_look_for_secrets() -> None:
    for text in ("mysql -x " * 9000, "-----BEGIN A PRIVATE KEY-----" * 3000, "password=" * 9000, "A1b" * 30000,
                 "\ndata:\n  x\nkind: Secret" * 3000, "docker login " * 7000, "kind: Secret data: " * 400):  # fmt: skip
        assert len(secrets_in(text)) < 9001
    code = "def token(self, tokens: int = 3) -> None: return self.token or os.environ['X']\n" * 9
    assert secrets_in(code) == []


def test_random_strings_of_any_alphabet_are_kept_off() -> None:
    rng = random.Random(9)
    for alphabet in (string.ascii_letters + string.digits, string.hexdigits[:16], string.ascii_uppercase + "234567"):
        for _ in range(50):
            word = "".join(rng.choices(alphabet, k=40))
            (span,) = secrets_in(f"see {word} there") or [(0, 0)]
            assert span == (4, 44) or not re.search(r"\d", word), word
    names = "src/microfiche/training/real_pages.py microfiche.memory.calibration getElementsByClassName2 MAX_TOKENS_1"
    assert secrets_in(names) == []
