"""What request bodies and queries have in common."""

from __future__ import annotations

import pytest
from django.http import QueryDict
from rest_framework import serializers

from apps.core.serializers import StrictSerializer


class Asked(StrictSerializer):
    name = serializers.CharField(required=False, allow_null=True)
    count = serializers.IntegerField(required=False)
    share = serializers.FloatField(required=False)
    paper = serializers.BooleanField(required=False)
    id = serializers.UUIDField(required=False)
    labels = serializers.ListField(child=serializers.CharField(), required=False)
    limits = serializers.DictField(child=serializers.IntegerField(), required=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 7),
        ("name", True),
        ("count", "7"),
        ("count", 7.5),
        ("count", True),
        ("share", "0.5"),
        ("share", False),
        ("paper", "true"),
        ("paper", 1),
        ("id", 7),
        ("labels", ["a", 7]),
        ("labels", {"a": "b"}),
        ("limits", {"a": "7"}),
        ("limits", [7]),
    ],
)
def test_json_of_another_type_is_refused_by_the_name_of_its_field(name, value):
    asked = Asked(data={name: value})
    assert not asked.is_valid()
    assert asked.errors.keys() == {name}


def test_json_of_the_types_is_taken_and_null_where_it_may_be():
    given = {"name": None, "count": 7.0, "share": 1, "paper": True, "labels": ["a"], "limits": {"a": 7}}
    asked = Asked(data=given)
    assert asked.is_valid(), asked.errors
    assert asked.validated_data == given


def test_all_values_of_a_query_are_text():
    asked = Asked(data=QueryDict("name=7&count=7&share=0.5&paper=true"))
    assert asked.is_valid(), asked.errors
    assert asked.validated_data == {"name": "7", "count": 7, "share": 0.5, "paper": True}
