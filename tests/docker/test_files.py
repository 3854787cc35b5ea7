"""What is in ``docker/`` says the same as the product. No Docker engine is needed, nor is one started."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from apps.tasks import conf, queues

ROOT = Path(settings.BASE_DIR)
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "chandlery" in service["image"]}
README = (ROOT / "README.md").read_text() + (DOCKER / "README.md").read_text()


def product_queues() -> list[str]:
    """Those of an installation: the tests have one more."""
    return [queue for queue in conf.queues() if queue != "ordered.fifo"]


def test_workers_take_every_queue_once():
    taken = [
        queue
        for service in OURS.values()
        if service["command"][0] == "worker"
        for queue in service["command"][service["command"].index("-Q") + 1].split(",")
    ]
    assert sorted(taken) == sorted(product_queues())


def test_every_variable_that_is_set_is_documented():
    for name, service in OURS.items():
        for variable in service.get("environment", {}):
            assert f"`{variable.removesuffix('_FILE')}`" in README, (name, variable)
    asked = set(re.findall(r"\$\{(\w+):?-", (DOCKER / "compose.yaml").read_text()))
    assert {each for each in asked if f"`{each}`" not in README} == set()


def test_every_variable_of_the_table_can_be_set():
    table = (DOCKER / "README.md").read_text().split("| variable | default |", 1)[1].split("\n\n", 1)[0]
    listed = {
        name for line in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", line.split(" | ")[0])
    }
    assert "WEB_THREADS" in listed
    assert listed == {name for name in listed if f"${{{name}:-" in (DOCKER / "compose.yaml").read_text()}
    for name, service in OURS.items():
        assert name == "secrets" or service["env_file"] == [{"path": ".env", "required": False}], name


def test_the_app_of_the_first_hour_comes_into_an_image_of_its_own():
    app = re.search(r"^```python (\w+)/tasks\.py$", README, re.MULTILINE)
    assert app is not None
    image = re.search(r"^```dockerfile\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert image is not None
    base = SERVICES["web"]["image"].removeprefix("${CHANDLERY_IMAGE:-").removesuffix("}")
    assert image.group(1).splitlines() == [
        f"FROM {base}", f"COPY {app.group(1)} {app.group(1)}", f"ENV EXTRA_APPS={app.group(1)}",
    ]  # fmt: skip


def test_what_a_server_has_to_be_given_is_given_by_compose_and_named_for_aws():
    code = (
        (ROOT / "project" / "settings" / "prod.py").read_text().split("env.demand(", 1)[1].split("\n)", 1)[0]
    )
    demanded = [each.split("|") for each in re.findall(r'"([A-Z_|]+)"', code)]
    assert len(demanded) > 5
    aws = (DOCKER / "README.md").read_text().split("## On AWS", 1)[1].split("\n## ", 1)[0]
    given = {name.removesuffix("_FILE") for name in SERVICES["web"]["environment"]}
    for names in demanded:
        assert given & set(names), names
        assert any(f"`{name}`" in aws for name in names), names


def test_the_proxy_speaks_to_web_in_the_network_that_is_trusted():
    upstream = re.search(r"reverse_proxy ([\w-]+):8000", (DOCKER / "Caddyfile").read_text())
    assert upstream is not None
    assert SERVICES["web"]["networks"]["inside"] == {"aliases": [upstream.group(1)]}
    assert "inside" in SERVICES["proxy"]["networks"]
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert network["subnet"] in SERVICES["web"]["environment"]["TRUSTED_PROXIES"]


def test_our_containers_may_do_little_and_say_how_they_are():
    assert set(OURS) == {"secrets", "migrate", "web", "worker", "worker-heavy", "beat", "relay"}
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name in {"secrets", "migrate"}:
            continue
        assert "healthcheck" in service, name
        assert service["restart"] == "unless-stopped", name
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (DOCKER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], (
                mount
            )


def test_what_is_published_is_in_a_network_from_where_it_can_be():
    closed = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name, service in SERVICES.items():
        if "ports" in service:
            assert set(service["networks"]) - closed, name


def test_images_of_others_have_versions():
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":\$\{[A-Z]+:-v?\d[\w.-]*\}$", service["image"]), name


def test_what_the_image_is_made_from_is_there_and_sent_to_the_builder():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for each in copied for source in each.split()]
    assert "manage.py" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in kept), source


def test_the_lock_holds_what_production_needs_in_ranges_that_hold():
    lock = (ROOT / "requirements" / "prod.lock").read_text()
    locked = {
        canonicalize_name(name): number
        for name, number in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE)
    }
    lines = [
        line.split(" #")[0].strip()
        for file in ("base.txt", "prod.txt")
        for line in (ROOT / "requirements" / file).read_text().splitlines()
        if line and line[0] not in "#-"
    ]
    assert len(lines) > 20
    for line in lines:
        requirement = Requirement(line)
        number = locked.get(canonicalize_name(requirement.name))
        assert number is not None, f"{requirement.name} is not in prod.lock: see CONTRIBUTING in README.md"
        assert requirement.specifier.contains(number), f"{requirement}: prod.lock has {number}"
    assert lock.count("--hash=sha256:") > len(locked)
    assert "://" not in lock
    assert installed("Django").split(".")[:2] == locked["django"].split(".")[:2]


class Template(yaml.SafeLoader):
    """CloudFormation's YAML: its functions as pairs of a name and what they are given."""


Template.add_multi_constructor(
    "!",
    lambda loader, name, node: {
        name: loader.construct_scalar(node)  # type: ignore[arg-type]
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True)  # type: ignore[arg-type]
    },
)


def test_the_queues_on_aws_are_those_that_the_product_would_make(settings: Any):
    template = yaml.load((DOCKER / "aws" / "queues.yaml").read_text(), Template)
    prefix = template["Parameters"]["Prefix"]["Default"]
    settings.SQS_QUEUE_PREFIX = prefix
    made = {
        each["Properties"]["QueueName"]["Sub"].replace("${Prefix}", prefix): (name, each["Properties"])
        for name, each in template["Resources"].items()
        if each["Type"] == "AWS::SQS::Queue"
    }
    expected = [(queue, queues.dead_letter_name(queue)) for queue in product_queues()]
    assert len(made) == 2 * len(expected)
    for queue, letters in expected:
        _, properties = made[queues.physical_name(queue)]
        dead, dead_properties = made[queues.physical_name(letters)]
        policy = properties["RedrivePolicy"]
        assert policy == {
            "deadLetterTargetArn": {"GetAtt": f"{dead}.Arn"}, "maxReceiveCount": {"Ref": "MaxReceives"},
        }  # fmt: skip
        for each in (properties, dead_properties):
            assert each["MessageRetentionPeriod"] == 14 * 86_400
            assert each.get("FifoQueue", False) is queues.is_fifo(queue)
            assert each.get("ContentBasedDeduplication", False) is False
    defaults = {name: each.get("Default") for name, each in template["Parameters"].items()}
    assert defaults["MaxReceives"] == settings.SQS_MAX_RECEIVES
    assert defaults["VisibilityTimeout"] == 120


@pytest.mark.parametrize("policy", ["WebPolicy", "RelayPolicy", "WorkerPolicy"])
def test_no_process_may_make_list_or_empty_queues(policy: str):
    template = yaml.load((DOCKER / "aws" / "queues.yaml").read_text(), Template)
    statements = template["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
    actions = {action for each in statements for action in each["Action"]}
    assert actions <= {
        "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage", "sqs:ReceiveMessage",
        "sqs:DeleteMessage", "sqs:ChangeMessageVisibility",
    }  # fmt: skip
    assert ("sqs:SendMessage" in actions) is (policy == "RelayPolicy")
    assert all("*" not in str(each["Resource"]) for each in statements)
