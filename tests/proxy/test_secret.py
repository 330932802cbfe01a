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
    ("pin: @", "4321"), ("CVV: @", "123"), ("card @ there", "4111 1111 1111 1111"),
    ("@", "2223003122003222"), ("a @ b", "4111.1111.1111.1111"), ("@", "4111\u00a01111\t1111  1111"),
    ("her number @ is", "078-05-1120"),
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
MORE = [
    ("Pulumi.prod.yaml\nconfig:\n  aws:secretKey:\n    secure: @", "AAABAJk3Lqz0pXw7Zt=="),
    ("terraform: TF_VAR_db_admin_pw=@", "tfpw-88"), ("rails credentials\nsecret_key_base: @", "3f0c1d9be7"),
    ("postgres:\n  POSTGRES_PASSWORD: @", "dbpg77"),
    ("ANSIBLE_VAULT_PASSWORD_FILE=/x\nansible_become_pass: @", "becom3"),
    ('<property name="hibernate.connection.password">@</property>', "hib3rn8"),
    ('<password encrypted="false">@</password>', "xmlpw4"), ("[client]\nuser=root\npassword=@", "mycnf5!"),
    ("redis://:@@10.0.0.1:6379/0", "r3d1s6"), ("amqp://guest:@@mq/vhost", "gu3st7"),
    ("mongodb+srv://app:@@cl0.mongodb.net", "m0ng8"), ("jdbc:oracle:thin:scott/@@db:1521/x", "t1ger9"),
    ("jdbc:mysql://h/db?user=u&password=@&useSSL=1", "jdbc10"), ("smbclient //srv/share -U bob%@", "smbpw11"),
    ("curl -u bob:@ https://x", "curl12"), ("wget --http-password=@ https://x", "wget13"),
    ("ftp://bob:@@ftp.x/f", "ftp14"), ("ldapsearch -x -D cn=admin -w @ -b dc=x", "ldap15"),
    ("rclone: pass = @", "rcl0ne16"), ("restic: RESTIC_PASSWORD=@", "r3stic17"),
    ("borg: export BORG_PASSPHRASE='@'", "borg w/ space18"),
    ("snowsql -a x -u y --private-key-passphrase @", "snow19x"), ("mysqldump -u root -p@ db", "dump20"),
    ("psql 'host=x user=y password=@ sslmode=require'", "psql21"), ("sqlplus scott/@@orcl", "t1ger22"),
    ("impacket: DOMAIN/bob:@@10.0.0.2", "Pass23!"), ("net use Z: \\\\srv\\s /user:bob @", "netuse24"),
    ("ConvertTo-SecureString '@' -AsPlainText -Force", "ps25word"),
    ('$cred = New-Object PSCredential(\'bob\', (ConvertTo-SecureString "@" -AsPlainText))', "pscred26"),
    ("htpasswd -b file bob @", "htpw27x"), ("kubectl create secret generic x --from-literal=user=@", "k8slit28"),
    ("kubectl create secret docker-registry r --docker-password=@", "dock29"),
    ("gh secret set TOKEN --body '@'", "ghsec30"), ("aws configure set aws_secret_access_key @", "awsconf31"),
    ("heroku config:set API_SECRET=@", "heroku32"), ("fly secrets set DATABASE_PW=@", "flypw33"),
    ("echo -n '@' | base64", "basepw34"), ("echo '@' | gpg --batch --passphrase-fd 0 -d f", "gpgfd35"),
    ('expect "Password:"\nsend "@\\r"', "expect36"), ("Password for bob: @", "typed37"),
    ("Enter passphrase: @", "typed38x"), ("The admin login is admin / @", "adm1n39"),
    ("user: admin, pass: @", "adm1n40"), ("login=bob;pass=@;", "abc41!"), ("Your verification code is @", "482913"),
    ("Your one-time code: @", "771204"), ("backup codes:\n@\n9982-1123", "1123-4451"),
    ("recovery key: @", "EsTc 8rGh 2kLp Qw9x"), ("wifi: WIFI:T:WPA;S:net;P:@;;", "w1fi47pass"),
    ("hashcat: $krb5tgs$23$*svc$R$x*$@", "a8f3c2e1b7d4"),
    ("bob:1001:aad3b435b51404eeaad3b435b51404ee:@:::", "31d6cfe0d16ae931b73c59d7e0c089c0"),
    ("WireGuard\nPrivateKey = @", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="),
    ("PresharedKey = @", "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="),
    ("age: AGE-SECRET-KEY-1@", "QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQ"),
    ("nostr nsec1@", "vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"),
    ("xprv9s21ZrQH143K3@",
     "QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"),
    ("WIF 5@", "HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"),
    ("DISCORD: MTk4NjIyNDgzNDcxOTI1MjQ4.@", "Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"),
    ("twilio SK@", "1234567890abcdef1234567890abcdef"), ("cloudflare: v1.0-@", "e24fd090ef-abc123def456-7788"),
    ("shopify shpca_@", "1234567890abcdef1234567890abcdef"),
    ("databricks dapi@", "1234567890abcdef1234567890abcdef-2"), ("AZURE SharedAccessKey=@", "x9Kz/2pQ="),
    ("DefaultEndpointsProtocol=https;AccountKey=@", "Zm9vYmFy=="),
    ("cookie jar\n.example.com\tTRUE\t/\tTRUE\t1799999999\tsid\t@", "s3ss10nid"),
    ('Authorization: Digest username="bob", response="@"', "6629fae49393a05397450978507c4ef1"),
    ("-H 'X-Auth-Token: @'", "tok68x"), ("-H 'X-Vault-Token: @'", "hv69tok"),
    ('postman: {"key":"password","value":"@","type":"string"}', "pm70pw"),
    ('{"type":"password","name":"pw","value":"@"}', "inp71"),
    ('<input type="password" name="x" value="@">', "inp72v"),
    ("const dbPassword = process.env.PW || '@';", "fallback73"), ("password = os.getenv('PW', '@')", "default74"),
    ('password=os.environ.get("DB_PASSWORD", "@")', "default75"), ('config.password ?? "@"', "null76x"),
    ("passwords = ['@', 'zwei88']", "eins77"), ("PASSWORDS=(@ two)", "bash78x"),
    ("def login(user='bob', password='@'):", "deflt79"), ("login('bob', '@')", "pos80pw"),
    ("auth=('bob', '@')", "tuple81"), ("HTTPBasicAuth('bob', '@')", "basic82x"),
    ('requests.get(u, auth=("bob", "@"))', "tup83x"), ("smtp.login('bob', '@')", "smtp84x"),
    ("-e MYSQL_ROOT_PASSWORD=@ mysql:8", "root85"), ("ENV SECRET_TOKEN @", "dock86"),
    ("password hint was @ I think", "hint87x"), ("mdp: @", "motdp88"), ("Пароль от сервера: @", "серв89"),
    ("el PIN es @", "4821"), ("IBAN password: @", "ib91"), ("license key XXXX: @", "ABCDE-FGHIJ-KLMNO-PQRST-12345"),
    ("activation key: @", "NPPR9-FWDCX-D2C8J-H872K-2YT43"),
    ("spring.datasource.password=@", "sprng1"), ("ENCRYPTION_PASSPHRASE: '@'", "all letters here"),
    ("<Password>@</Password>", "xmlonly"),
    ("sudo mount -t cifs //s/x /m -o username=bob,password=@,vers=3", "c1fspw"), ("chpasswd <<< 'bob:@'", "chpw88"),
    ("useradd -p '@' bob", "usrpw9"), ("ipmitool -I lanplus -H h -U admin -P @ chassis", "ipmi77"),
    ("snmpwalk -v2c -c @ host", "priv8comm"), ("mosquitto_pub -u bob -P @ -t x", "mqtt5"),
    ("docker run -e APP_KEY=@ x", "appk3y"), ("nmcli dev wifi connect net password @", "nmcli22x"),
    ("wpa_passphrase net @", "wpapass1"), ("rsync --password-file=<(echo @) x", "rsyncpw2"), ("Enter PIN: @", "4417"),
    ("token is: @", "tk9-aa1"), ("the secret word is @", "open-sesame7"), ("Login: bob Password: @", "inl1ne"),
    ("creds: bob/@", "crd55x"), ("username/password: bob/@", "up66y"), ("Set the root password to @", "rt77zz"),
    ("using password '@'", "quoted88"), ("PWD for vpn -> @", "vpn99pw"),
    ("git clone https://oauth2:@@gitlab.x/r", "glab11"), ("jq --arg pass @ '.p=$pass'", "jqpw12"),
    ("os.environ['DB_PASSWORD'] = '@'", "osenv13"), ("ENV['SECRET'] ||= '@'", "rbsec14"),
    ('let password = String::from("@");', "rust15"), ('String password = "@";', "java16"),
    ('var passwd string = "@"', "gopw17"), ("$password = '@';", "phppw18"), ("define('DB_PASSWORD', '@');", "wppw19"),
    ("'password' => '@',", "lara20"), (':password => "@"', "ruby21"), ("password @", "barepw22"),
    ("|password|@|", "tblpw23"), ("Password\t@", "tabpw24"), ("aws_secret_access_key\n= @", "splt25"),
    ('"hashed_password": "@"', "5f4dcc3b5aa765d61d8327deb882cf99"), ("xoxb-@", "12-34-abcDEF"),
    ("setSecret(`@`)", "stsec27"), ("GET /x?api_key=@&y=1", "qkey28"), ("POST /login user=bob&password=@", "form29"),
    ("Basic @", "Ym9iOnB3MzA="), ("{'pin': @}", "8812"), ("CVV @", "313"),
]  # fmt: skip
#: What other tools record or take as a secret.
TOOLS = [
    ("machine h\n  login bob\n  password @", "pw4u"), ("curl --proxy-user bob:@ https://x", "mypwd1"),
    ('"type": "random_password",\n"instances": [{"attributes": {"length": 9, "result": "@"}}]', "q!7Zp#x2L"),
    ('"cookies": [{"name": "a", "value": "b1"},\n{"name": "sid", "value": "@"}]', "s%3Aqwerty"),
    ("lftp -u bob,@ h", "secr3t"), ("AUTH PLAIN @", "AGJvYgBwdw=="), ("a1 LOGIN bob @", "pw4mail"),
    ("redis-cli -h x -a @ ping", "redispw"), ("mongosh --username bob -p @", "mongopw"),
    ('expect "assword:"\nsend "@\\r"', "letmein"), ("GET /v1?key=@&x=1", "abcd1234"),
    ("define('NONCE_SALT', '@');", "put your unique phrase ;x#9"),
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
    for shape, secret in [*SHAPES, *MORE]:
        table = shape.startswith(("cookie jar", "localhost", "username", "name\t", "| "))
        if table and around in ("before it @", "  12\t@"):
            continue  # tables and ~/.pgpass begin with their lines, and numbers are left off before this
        line = shape.replace("@", secret, 1) if not shape.count("@@") else shape.replace("@@", f"{secret}@")
        text = f"a line before\n{around.replace('@', line)}\nand a line after"
        at = text.index(secret)
        found = {place for start, stop in secrets_in(text) for place in range(start, stop)}
        missed += [(line, secret)] if any(place not in found for place in range(at, at + len(secret))) else []
    assert not missed, missed


def test_what_other_tools_record_or_take_as_a_secret_is_found() -> None:
    missed = []
    for shape, secret in TOOLS:
        text = f"before\n{shape.replace('@', secret)}\nafter"
        at = text.index(secret)
        found = {place for start, stop in secrets_in(text) for place in range(start, stop)}
        missed += [] if found.issuperset(range(at, at + len(secret))) else [shape]
    assert not missed, missed


def test_ordinary_code_holds_no_secret() -> None:
    assert [CODE[start:stop] for start, stop in secrets_in(CODE)] == []


def test_no_text_takes_long_to_look_for_secrets() -> None:
    for text in ("mysql -x " * 9000, "-----BEGIN A PRIVATE KEY-----" * 3000, "password=" * 9000, "A1b" * 30000,
                 "\ndata:\n  x\nkind: Secret" * 3000, "docker login " * 7000, "kind: Secret data: " * 400,
                 "=" * 5000 + "password" * 3000, "login((" * 5000, "<password " * 4000, "a:b@" * 9000,
                 "a,token,b\n" * 9000, "password:\n" * 9000, "(token" * 9000, "abcdefgh\n" * 9000, "curl -x " * 9000,
                 "luks" * 9000, "%41" * 9000, "\x1b[0mA" * 9000, "://a:" * 9000, "user x " * 9000, "abcd-" * 9000,
                 "  password = (\n" * 9000, "-" * 50_000 + "x y", "seed " * 9000):  # fmt: skip
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


def test_what_calls_a_value_secret_may_stand_in_any_letters() -> None:
    lines = ("DB_PASSWORD = 'Sunshine'", "paſſword: 'Sunshine'", "LOGİN('bob', 'Sunshine')", "İ Passphrase IS Sunshine")
    for line in lines:
        ((start, stop),) = secrets_in(f"İ\n{line}\n")
        assert "Sunshine" in f"İ\n{line}\n"[start:stop]


def test_a_long_line_of_many_names_is_one_secret_and_what_follows_it_another() -> None:
    """Each value goes on to the next blank, so that looking at each anew would take time by the square of them."""
    text = "token=abc&" * 20_000 + "token=last password: correct horse battery\nnothing here\n"
    spans = secrets_in(text)
    assert spans[0][0] <= 6 and text.index("horse battery") < spans[-1][1] <= text.index("\nnothing")
    assert sum(end - start for start, end in spans) > len(text) - 80


@pytest.mark.parametrize(("opened", "held"), [
    ('"cookies": [', '{"name": "sid", "value": "k8Fq2"}]'),
    ('"data": {', '"key": "azhGcTI="}, "kind": "Secret"'),
])  # fmt: skip
def test_what_is_opened_many_times_and_closed_once_is_looked_through_once(opened: str, held: str) -> None:
    text = opened * 15_000 + held
    secret = "k8Fq2" if "k8Fq2" in text else "azhGcTI="
    assert any(start <= text.index(secret) < end for start, end in secrets_in(text))
