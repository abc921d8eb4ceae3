import pytest

from tasks.addresses import has_credentials, without_credentials


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://joe:secret@host:5000/api", "http://***@host:5000/api"),
        ("http://joe:s3@cr3t@host", "http://***@host"),
        ("postgresql://joe@host/db?x=a@b", "postgresql://***@host/db?x=a@b"),
        ("http://host/joe@home", "http://host/joe@home"),
        ("sqlite:////a@b/mlflow.db", "sqlite:////a@b/mlflow.db"),
    ],
)
def test_users_and_passwords_are_not_shown(address: str, shown: str) -> None:
    assert without_credentials(f"at {address} now") == f"at {shown} now"
    assert has_credentials(address) is (shown != address)
