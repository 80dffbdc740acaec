import pytest

from engine.errors import ConfigError
from exporters.address import Address, parse_address, parse_host


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
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        ("my_host-2.local.:1", Address("my_host-2.local.", 1)),
        ("bücher.example:1", Address("bücher.example", 1)),
    ],
)
def test_reads_every_form(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "localhost", "localhost:", "host:port", "host:65536", "host:-1", "host:+1"),
        *("1_0", "٣٣", "123456", "::1:80", "[::1]", "[::1]80", "[host]:80", "[::1:80", "a b:80"),
        *("http://host:80", "user@host:80", "8765.0", "my..host:80", ".host:80", "-host:80"),
        *("host-:80", "b" * 64 + ".org:80", "a." * 127 + "org:80", "ü" * 60 + ":80", "host\0:80"),
        *("999.1.1.1:80", "1.2.3:80", "[::g]:80", "[]:80", "host:²", "²", "host:abc", "h,i:80"),
    ],
)
def test_an_invalid_address_is_refused_with_the_expected_form(text):
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0.0.0", "0.0.0.0"), ("[::1]", "::1"), ("::", "::"), ("localhost", "localhost")],
)
def test_reads_a_host_alone(text, expected):
    assert parse_host(text) == expected


@pytest.mark.parametrize("text", ["", "my..host", "b" * 70, "host:80", "256.0.0.1"])
def test_an_invalid_host_is_refused(text):
    with pytest.raises(ConfigError, match="a host's name or number"):
        parse_host(text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80"])
def test_prints_as_it_is_typed(text):
    assert str(parse_address(text)) == text
