"""Origins as browsers send them and as users type them."""

import pytest

from engine.errors import ConfigError
from exporters.origin import is_loopback, parse_origin, same_origin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org", "https://example.org"),
        ("https://Example.ORG/", "https://example.org"),
        ("HTTPS://example.org:443", "https://example.org"),
        ("http://example.org:80/", "http://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("https://example.org:8443/", "https://example.org:8443"),
        (" https://example.org ", "https://example.org"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[2001:DB8:0:0::1]", "http://[2001:db8::1]"),
        ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"),
        ("https://müller.example", "https://xn--mller-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", "null"),
        ("NULL", "null"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(text: str, expected: str) -> None:
    assert parse_origin(text) == expected
    assert same_origin(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "example.org", "//example.org", "https://", "https://example.org/page", "*"),
        *("https://example.org?x=1", "https://example.org#top", "https://me@example.org"),
        *("https://example.org:99999", "https://example.org:x", "https://exa mple.org"),
        *("https://*.example.org", "https://[::1", "https://my..host", "localhost:3000"),
        "https://" + "b" * 70 + ".org",
    ],
)
def test_an_invalid_origin_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ConfigError, match=r"as in https://example\.org or null"):
        parse_origin(text)
    assert same_origin(text) is None


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8080", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:3000", True),
        ("http://localhost.evil.test", False),
        ("ftp://localhost", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_this_machine(origin: str, expected: bool) -> None:
    assert is_loopback(origin) is expected
