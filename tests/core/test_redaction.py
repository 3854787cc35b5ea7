"""Secrets do not appear where errors, arguments and results are stored or shown."""

from __future__ import annotations

import json

import pytest

from apps.core import redaction
from apps.core.redaction import MASK, redact

SECRET = "s3cr3t-VALUE/+="


@pytest.mark.parametrize(
    "key",
    [
        "password", "PASSWORD", "db_password", "userPassword", "passwd", "passphrase", "pwd", "secret",
        "client_secret", "clientSecret", "SECRET_KEY", "token", "refresh_token", "accessToken",
        "X-Auth-Token", "api_key", "apikey", "apiKey", "API-KEY", "X-MBX-APIKEY", "aws_secret_access_key",
        "private_key", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "credentials",
        "signature", "sessionid", "session_id", "csrftoken", "jwt", "otp", "pin",
    ],
)  # fmt: skip
def test_what_stands_under_a_secret_key_is_masked(key):
    assert redact({key: SECRET, "deeper": [{key: [SECRET]}]}) == {key: MASK, "deeper": [{key: MASK}]}


@pytest.mark.parametrize(
    "key",
    [
        "unique_key", "group_key", "idempotency_key", "monkey", "tokens_left", "author", "opinion",
        "pinned", "compass", "message", "secretary", "keyword", "bypass", "passenger", "cookiecutter",
    ],
)  # fmt: skip
def test_keys_that_only_look_like_it_are_left_alone(key):
    assert redact({key: "value"}) == {key: "value"}


def test_null_stays_null_and_what_was_given_is_not_changed():
    given = {"password": None, "n": 1, "flag": True, "list": (1.5, "x")}
    assert redact(given) == {"password": None, "n": 1, "flag": True, "list": [1.5, "x"]}
    assert given["list"] == (1.5, "x")
    assert redact({"pin": 1234}) == {"pin": MASK}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"password={SECRET}", "password="),
        (f"GET /x?api_key={SECRET}&limit=5 failed", "&limit=5 failed"),
        (f"https://api.example/v1?symbol=BTC&signature={SECRET}", "symbol=BTC"),
        (f"connect(host='db', password='{SECRET}', port=5432)", "port=5432"),
        (f'{{"user": "ann", "password": "{SECRET}", "n": 1}}', '"n": 1'),
        (f"{{'user': 'ann', 'password': '{SECRET}'}}", "'user': 'ann'"),
        (f"b'{{\"token\": \"{SECRET}\"}}'", "token"),
        (json.dumps({"body": json.dumps({"user": "ann", "token": SECRET})}), "ann"),
        (json.dumps(json.dumps(json.dumps({"token": SECRET, "user": "ann"}))), "ann"),
        (f"postgres://app:{SECRET.replace('/', '')}@db.example:5432/app", "postgres://app:***@db.example:5432/app"),
        (f"redis://:{SECRET.replace('/', '')}@cache:6379/0", "@cache:6379/0"),
        (f"Authorization: Bearer {SECRET}", "Authorization: "),
        (f"authorization: Basic {SECRET}\nHost: x", "Host: x"),
        (f"'Authorization': 'Token {SECRET}'", "Authorization"),
        (f"sent header Bearer {SECRET}", "sent header Bearer"),
        (f"X-API-Key: {SECRET}\r\nAccept: */*", "Accept: */*"),
        (f"Cookie: sessionid={SECRET}; theme=dark", "theme=dark"),
        (f"secret => {SECRET}", "secret"),
        (f"PASSWORD = \"{SECRET}\" is too short", "is too short"),
        (f"body: password={SECRET}", "body: "),
        (f"token={SECRET}", "token="),
        (f"os.environ: {{'AWS_SECRET_ACCESS_KEY': '{SECRET}', 'HOME': '/root'}}", "/root"),
        (f'password="{SECRET}', "password"),
    ],
)  # fmt: skip
def test_secrets_in_text_are_masked_and_the_rest_is_kept(text, kept):
    cleaned = redaction.text(text)
    assert SECRET not in cleaned
    assert SECRET.replace("/", "") not in cleaned
    assert "s3cr3t" not in cleaned
    assert MASK in cleaned
    assert kept in cleaned


def test_credentials_that_have_no_key_are_known_by_their_form():
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    for before in ("got ", "host.example.", "got ref-", "a-b-"):
        assert redaction.text(f"{before}{jwt} back ") == f"{before}{MASK} back "
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----"
    assert redaction.text(f"key:\n{pem}\nend") == f"key:\n{MASK}\nend"
    assert "MIIE" not in redaction.text(pem[:50])


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: always",
        "run 01999999-0000-7000-8000-000000000000 is no longer held by attempt 2",
        'File "/app/apps/tasks/claims.py", line 97, in describe',
        "https://api.binance.com/api/v3/klines?symbol=BTCUSDT&limit=1000",
        "unique_key=digest:7 at 12:30:45, ratio 3:4, a::b, C:\\temp",
        "duplicate key value violates unique constraint \"x\"\nDETAIL:  Key (name)=(a) already exists.",
        "the basic idea; a token of appreciation; bearer of news",
        "mailto:ann@example.com http://ann@example.com/",
    ],
)  # fmt: skip
def test_text_without_secrets_is_left_as_it_is(text):
    assert redaction.text(text) == text


def test_json_stays_json():
    body = json.dumps({"password": SECRET, "nested": {"api_key": 'a"b\\'}, "n": [1, None]})
    assert json.loads(redaction.text(body)) == {"password": MASK, "nested": {"api_key": MASK}, "n": [1, None]}


def test_the_setting_adds_patterns(settings):
    assert redact({"seed_words": "a b c"}) == {"seed_words": "a b c"}
    settings.REDACT_KEYS = ["seed(?:_words)?"]
    assert redact({"seed_words": "a b c", "note": "seed=abc"}) == {"seed_words": MASK, "note": f"seed={MASK}"}


def test_very_deep_and_very_long_values_come_back():
    value: list = []
    for _ in range(200):
        value = [value]
    assert "…" in json.dumps(redact(value), ensure_ascii=False)
    assert redaction.text("a=" * 50_000).startswith("a=")
    assert redaction.text('"' * 20_000 + "\\" * 20_000)
    # In more than proportion to their length these would take longer than any test may.
    for part in ("a.b+", "eyJ-", "-eyJaaaaaaaa"):
        hostile = part * (600_000 // len(part))
        assert len(redaction.text(f": {hostile}")) > 1
