"""Addresses that others named lead to the public internet or nowhere."""

import asyncio

import pytest

from onevoice.channels.outside import NotOutside, client
from onevoice.kernel.network import is_public
from tests.channels.answering import answering


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
        ),
        *("::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "ff02::1", "::", "64:ff9b::a00:1"),
    ],
)
def test_an_address_of_our_own_is_not_outside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111"])
def test_an_address_of_the_internet_is(address: str) -> None:
    assert is_public(address)


def test_names_that_lead_inside_are_not_called() -> None:
    async def call(url: str, *, anywhere: bool) -> int:
        async with client(5.0, anywhere=anywhere) as http:
            return (await http.post(url)).status_code

    with answering(200) as url:
        assert asyncio.run(call(url, anywhere=True)) == 200
        for inside in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(NotOutside):
                asyncio.run(call(inside, anywhere=False))
