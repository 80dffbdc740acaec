"""Name resolution: IPv4 addresses if a name has both families.

Many systems put ::1 first for localhost, while programs that receive datagrams listen on IPv4, and
a lost datagram is not reported.
"""

import socket

from exporters.address import Address


def look_up(address: Address, kind: socket.SocketKind) -> list[tuple[socket.AddressFamily, str]]:
    """Family and number of each address of one family; OSError for an unknown name."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=kind)
    except UnicodeError as error:  # a name that cannot be encoded
        raise OSError(str(error)) from error
    families = [family for family, *_ in found]
    wanted = socket.AF_INET if socket.AF_INET in families else families[0]
    places = ((family, str(place[0])) for family, _, _, _, place in found)
    return list(dict.fromkeys(place for place in places if place[0] == wanted))
