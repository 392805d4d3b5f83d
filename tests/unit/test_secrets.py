"""What is taken for a secret, what is not, and text without them."""

import pytest

from rfe.secrets import find_secret, hide_secrets

TOKEN = "ghp_" + "a1B2" * 9
SECRETS = {
    "-----BEGIN RSA PRIVATE KEY-----": "a private key",
    "postgresql+psycopg://rfe:hunter22@db/mlflow": "an address with a password",
    TOKEN: "a token",
    "hf_" + "aB3" * 10: "a token",
    "AKIA" + "ABCD" * 4: "a token",
    "https://hooks.slack.com/services/T000/B000/xyz": "a webhook's address",
    'api_key = "abcdef123"': "a password",
}


@pytest.mark.parametrize(("secret", "kind"), SECRETS.items(), ids=SECRETS.values())
def test_a_secret_is_seen_and_hidden(secret: str, kind: str) -> None:
    text = f"before {secret} after"
    assert find_secret(text) == kind
    hidden = hide_secrets(text)
    assert find_secret(hidden) == ""
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    for part in ("hunter22", TOKEN, "abcdef123", "xyz"):
        assert part not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the loss is no longer finite at epoch 3",
        "http://localhost:5000/page@2",
        "url = f'https://{user}:{password}@{host}'",
        "password = getpass()",
        "secret = None",
        "api_key='$API_KEY'",
        "sk-learn and hf_hub",
        "git@github.com:me/repository.git",
    ],
)
def test_ordinary_text_is_none(text: str) -> None:
    assert find_secret(text) == ""
    if "@{" not in text:  # what stands before the host of an address is hidden, whatever it is
        assert hide_secrets(text) == text


def test_values_of_secret_variables_are_secrets_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    monkeypatch.setenv("SHORT_TOKEN", "abc")  # cannot be told from a word
    monkeypatch.setenv("HORSE", "battery staple")
    assert find_secret("it is correct horse") == "the value of a secret environment variable"
    assert find_secret("abc battery staple") == ""
    assert hide_secrets("it is correct horse") == "it is ***"
