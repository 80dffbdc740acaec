import pytest

from engine.errors import ConfigError
from exporters.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.168.1.20:39539", Address("192.168.1.20", 39539)),
        ("localhost:1", Address("localhost", 1)),
        (":8765", Address("127.0.0.1", 8765)),
        ("8765", Address("127.0.0.1", 8765)),
        (" 8765 ", Address("127.0.0.1", 8765)),
        ("0", Address("127.0.0.1", 0)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_reads_every_form(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "localhost", "localhost:", "host:port", "host:65536", "host:-1", "host:+1"),
        *("1_0", "٣٣", "123456", "::1:80", "[::1]", "[::1]80", "[host]:80", "[::1:80", "a b:80"),
        *("http://host:80", "user@host:80", "8765.0"),
    ],
)
def test_refuses_anything_else_and_says_what_is_expected(text):
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80"])
def test_prints_as_it_is_typed(text):
    assert str(parse_address(text)) == text
