from __future__ import annotations

import pytest

from labctl.ingress.masking import masked

BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["I1 a", "I2 b", ""], ["I1 a", "I2 b", ""]),
        ([f"pem: {BEGIN}", "MIIE", END, "after"], ["pem: ***", "after"]),
        ([f"pem: {BEGIN}", "MIIE", f"{END} rest"], ["pem: ***", " rest"]),
        ([rf'"{BEGIN}\nMIIE\n{END}", x'], ['"***", x']),
        ([f"{BEGIN} a {END} and {BEGIN}", "b", END, "c"], ["*** and ***", "c"]),
        ([f"{BEGIN}", "never ends"], ["***"]),
        (["-----BEGIN CERTIFICATE-----", "MIIC"], ["-----BEGIN CERTIFICATE-----", "MIIC"]),
    ],
)
def test_private_keys_do_not_show(lines: list[str], shown: list[str]) -> None:
    assert list(masked(lines)) == shown
