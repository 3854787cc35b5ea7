"""Sessions of AWS's library."""

from __future__ import annotations

from botocore.loaders import JSONFileLoader

from apps.core import aws


def test_what_clients_are_made_from_is_read_once(monkeypatch):
    aws.warm_up()
    read = []
    load_file = JSONFileLoader.load_file
    monkeypatch.setattr(
        JSONFileLoader, "load_file", lambda self, path: read.append(path) or load_file(self, path)
    )
    made = [
        aws.session(aws_access_key_id=name, aws_secret_access_key="s").client("sqs", region_name=region)
        for name, region in (("a", "us-east-1"), ("b", "eu-west-1"))
    ]
    assert read == []
    assert [one.meta.region_name for one in made] == ["us-east-1", "eu-west-1"]
    assert [one._get_credentials().access_key for one in made] == ["a", "b"]
