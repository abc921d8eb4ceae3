"""Addresses of stores: secrets have no place in them."""

import pytest

from flows.paths import absolute
from models.errors import InputError
from tasks.data.reach import require_no_secret
from tasks.data.sources import resolve_each

SECRETS = [
    "s3://AKIA:CANARY@bucket/in.csv",
    "s3://AKIA:CANA/RY@bucket/in.csv?endpoint_override=localhost:9000",
    "abfs://container@account.dfs.core.windows.net/in?sas_token=CANARY",
    "s3://bucket/in.csv?region=eu&secret_key=CANARY",
    "odd://me:CANARY@place/in",
]


@pytest.mark.parametrize("uri", SECRETS)
def test_an_address_with_a_secret_is_refused_without_showing_it(uri: str) -> None:
    for refuse in (require_no_secret, resolve_each, absolute):
        with pytest.raises(InputError, match="leave them to the environment") as error:
            refuse(uri)  # type: ignore[operator]
        assert "CANA" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/a@b:c.csv?endpoint_override=127.0.0.1:9000&scheme=http",
        "s3://bucket/p?endpoint_override=http://minio:9000&region=us-east-1",
        "s3://bucket/p?region=us-east-1&endpoint_override=http://minio:9000",
        "gs://anonymous@bucket/in",
        "hdfs://host:8020/in",
        "hdfs://host:8020",
        "abfs://container@account.dfs.core.windows.net/in",
        "file:///data/a:b@c.csv",
        "http://[::1]:9000/x",
    ],
)
def test_an_address_without_one_passes(uri: str) -> None:
    require_no_secret(uri)
