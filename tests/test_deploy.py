"""What runs in a cluster: valid for its versions, as little allowed as possible, and all names fitting one another."""

from __future__ import annotations

import copy
import itertools
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

import deployed
from deployed import Manifest, containers, of_kind, one, pod
from lockstep.release import image, manifests
from lockstep.serving import log, server
from lockstep.serving.settings import Settings, settings

VERSIONS = ("1.30", "1.34", "1.37")
"""The oldest that has all we use, one between, and the newest that can be looked up here."""

CRDS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "crds").glob("*.json")}

each_overlay = pytest.mark.parametrize("overlay", [overlay for _, overlay in deployed.OVERLAYS])


def is_built_in(manifest: Manifest) -> bool:
    group = str(manifest["apiVersion"]).rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def custom_problems(manifest: Manifest) -> list[str]:
    return [error.message for error in Draft7Validator(CRDS[manifest["kind"]]).iter_errors(manifest)]


def labels_of(manifest: Manifest) -> dict[str, str]:
    return dict(manifest["metadata"]["labels"])


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


@each_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_in_each_version_of_kubernetes(overlay: str, version: str) -> None:
    checked = [each for each in deployed.rendered(overlay) if is_built_in(each)]
    for manifest in checked:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert {"Deployment", "HorizontalPodAutoscaler", "NetworkPolicy"} <= {each["kind"] for each in checked}


def test_the_validation_would_notice_a_misspelt_field() -> None:
    broken = copy.deepcopy(one("staging", "Deployment"))
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@each_overlay
def test_every_custom_resource_says_what_its_definition_allows(overlay: str) -> None:
    custom = [each for each in deployed.rendered(overlay) if not is_built_in(each)]
    assert {each["kind"] for each in custom} >= {"ServiceMonitor", "PrometheusRule"}
    assert [(each["kind"], wrong) for each in custom for wrong in custom_problems(each)] == []


def test_the_examples_for_flux_and_argo_cd_say_what_their_definitions_allow() -> None:
    paths = sorted((deployed.DEPLOY / "examples").rglob("*.yaml"))
    assert len(paths) == 6
    for path in paths:
        assert custom_problems(yaml.safe_load(path.read_text())) == [], path


def test_a_custom_resource_with_a_misspelt_field_would_be_noticed() -> None:
    broken = copy.deepcopy(one("canary", "Rollout"))
    broken["spec"]["strategy"]["canary"]["steps"][0] = {"setWieght": 10}
    assert any("setWieght" in wrong for wrong in custom_problems(broken))


@pytest.mark.parametrize("environment", deployed.ENVIRONMENTS)
def test_the_examples_follow_what_a_release_writes(environment: str, tmp_path: Path) -> None:
    tree = deployed.release(tmp_path / environment)
    flux = yaml.safe_load((tree / f"examples/flux/{environment}.yaml").read_text())["spec"]
    source = yaml.safe_load((tree / "examples/flux/repository.yaml").read_text())
    argo = yaml.safe_load((tree / f"examples/argocd/{environment}.yaml").read_text())["spec"]
    assert flux["sourceRef"] == {"kind": source["kind"], "name": source["metadata"]["name"]}
    assert source["spec"]["ref"] == {"branch": "deploy"}
    assert argo["source"]["targetRevision"] == "deploy"
    assert (tmp_path / flux["path"] / "kustomization.yaml").is_file()
    assert (tmp_path / argo["source"]["path"] / "kustomization.yaml").is_file()
    assert argo["destination"]["namespace"] == f"lockstep-{environment}"


@each_overlay
def test_every_image_that_runs_after_a_release_is_named_by_its_digest(overlay: str) -> None:
    images = {name: each["image"] for name, each in containers(overlay).items()}
    assert images["service"] == f"{deployed.REGISTRY}@{deployed.DIGEST}"
    assert all("@sha256:" in image for image in images.values())


def test_what_is_on_main_names_an_image_that_nobody_can_pull() -> None:
    (deployment,) = [
        each for each in deployed.kustomize(deployed.DEPLOY / "overlays" / "staging") if each["kind"] == "Deployment"
    ]
    (service,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["image"].startswith("unreleased.invalid/")
    assert not service["image"].partition("@")[2].startswith("sha256:")


# The Pod Security Standard `restricted`, rule by rule.


@each_overlay
def test_a_pod_shares_nothing_with_its_node(overlay: str) -> None:
    spec = pod(overlay)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
    assert all(set(each) - {"name"} <= {"emptyDir", "configMap"} for each in spec["volumes"])
    assert not any("hostPort" in port for each in containers(overlay).values() for port in each.get("ports", []))


@each_overlay
def test_no_container_is_root_or_becomes_it(overlay: str) -> None:
    context = pod(overlay)["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == image.USER
    assert context["runAsUser"] >= 10_000
    for container in containers(overlay).values():
        own = container["securityContext"]
        assert not {"runAsUser", "runAsNonRoot", "privileged", "procMount", "seLinuxOptions"} & set(own)
        assert own["allowPrivilegeEscalation"] is False


@each_overlay
def test_every_container_drops_all_capabilities_and_adds_none(overlay: str) -> None:
    assert all(each["securityContext"]["capabilities"] == {"drop": ["ALL"]} for each in containers(overlay).values())


@each_overlay
def test_system_calls_are_filtered_as_the_runtime_does(overlay: str) -> None:
    assert pod(overlay)["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("seccompProfile" in each["securityContext"] for each in containers(overlay).values())


@each_overlay
def test_the_namespace_enforces_the_standard(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert labels_of(namespace)["pod-security.kubernetes.io/enforce"] == "restricted"
    inside = [each for each in deployed.rendered(overlay) if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in inside} == {namespace["metadata"]["name"]}


# Beyond the standard.


@each_overlay
def test_no_container_writes_but_to_folders_that_are_limited(overlay: str) -> None:
    volumes = {each["name"]: each for each in pod(overlay)["spec"]["volumes"]}
    for container in containers(overlay).values():
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            assert mount.get("readOnly") or volume["emptyDir"]["sizeLimit"]
    paths = {each["mountPath"] for each in containers(overlay)["service"]["volumeMounts"]}
    assert paths == {"/tmp", "/log"}


@each_overlay
def test_no_token_of_kubernetes_reaches_a_pod(overlay: str) -> None:
    spec, account = pod(overlay)["spec"], one(overlay, "ServiceAccount")
    assert spec["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == account["metadata"]["name"]
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret"} & {
        each["kind"] for each in deployed.rendered(overlay)
    }


@each_overlay
def test_memory_is_limited_and_the_processor_is_not_throttled(overlay: str) -> None:
    for container in containers(overlay).values():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert "cpu" not in container["resources"]["limits"]


# Names, ports and paths that have to be the same in several files.


@each_overlay
def test_every_selector_finds_the_pods(overlay: str) -> None:
    labels = dict(pod(overlay)["metadata"]["labels"])
    selectors = [
        one(overlay, "Deployment")["spec"]["selector"]["matchLabels"],
        one(overlay, "Service")["spec"]["selector"],
        one(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["spec"]["podSelector"]["matchLabels"] for each in of_kind(overlay, "NetworkPolicy")),
        *(
            each["labelSelector"]["matchLabels"]
            for each in pod(overlay)["spec"]["topologySpreadConstraints"]
        ),
    ]  # fmt: skip
    assert len(selectors) == 6
    assert all(selects(selector, labels) for selector in selectors)


@each_overlay
def test_pods_are_spread_over_zones_and_nodes(overlay: str) -> None:
    keys = {each["topologyKey"] for each in pod(overlay)["spec"]["topologySpreadConstraints"]}
    assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


@each_overlay
def test_the_port_is_the_service_s_and_everybody_names_it(overlay: str) -> None:
    container = containers(overlay)["service"]
    (port,) = container["ports"]
    assert port["containerPort"] == Settings().port == image.PORT
    (outside,) = one(overlay, "Service")["spec"]["ports"]
    assert outside["targetPort"] == port["name"]
    probes = [container[name]["httpGet"]["port"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    (allowed,) = one(overlay, "NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert {*probes, allowed["port"]} == {port["name"]}
    (endpoint,) = one(overlay, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] == outside["name"]
    assert selects(
        one(overlay, "ServiceMonitor")["spec"]["selector"]["matchLabels"], labels_of(one(overlay, "Service"))
    )


@each_overlay
def test_the_environment_is_one_that_the_service_understands(overlay: str) -> None:
    given = {each["name"]: each["value"] for each in containers(overlay)["service"]["env"]}
    assert settings(given).log == Path("/log")
    assert given.keys() == {"LOCKSTEP_LOG"}


@each_overlay
def test_callers_reach_the_paths_that_are_theirs_and_no_others(overlay: str) -> None:
    ingress = one(overlay, "Ingress")["spec"]
    (rule,) = ingress["rules"]
    assert ingress["tls"][0]["hosts"] == [rule["host"]]
    assert {each["path"] for each in rule["http"]["paths"]} == {
        "/predict", "/feedback", "/contract", "/openapi.json", "/version",
    }  # fmt: skip
    service = one(overlay, "Service")
    for path in rule["http"]["paths"]:
        assert path["pathType"] == "Exact"
        assert path["backend"]["service"] == {
            "name": service["metadata"]["name"],
            "port": {"name": service["spec"]["ports"][0]["name"]},
        }


def test_the_page_says_that_nobody_is_asked_who_they_are_before_the_ingress_opens_the_paths_that_write() -> None:
    page = " ".join((deployed.DEPLOY / "README.md").read_text(encoding="utf-8").split())
    opened = {each["path"] for each in one("production", "Ingress")["spec"]["rules"][0]["http"]["paths"]}
    assert "/feedback" in opened
    assert re.search(r"asks nobody who they are: .*`/feedback`.*`base/ingress\.yaml`", page)


def test_the_network_lets_in_two_namespaces_and_out_to_dns_alone() -> None:
    (policy,) = of_kind("production", "NetworkPolicy")
    (ingress,), (egress,) = policy["spec"]["ingress"], policy["spec"]["egress"]
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert len(ingress["from"]) == 2
    assert all(each["namespaceSelector"]["matchLabels"] for each in ingress["from"])
    assert {(each["protocol"], each["port"]) for each in egress["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert all(each["namespaceSelector"] and each["podSelector"] for each in egress["to"])


@each_overlay
def test_the_autoscaler_owns_the_replicas_and_a_drain_never_takes_the_last(overlay: str) -> None:
    scaler = one(overlay, "HorizontalPodAutoscaler")["spec"]
    target = scaler["scaleTargetRef"]
    scaled = one(overlay, target["kind"], target["name"])
    assert scaled["apiVersion"] == target["apiVersion"]
    assert "replicas" not in scaled["spec"]
    assert "replicas" not in one(overlay, "Deployment")["spec"]
    assert scaler["minReplicas"] < scaler["maxReplicas"]
    assert one(overlay, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    if overlay != "staging":
        assert scaler["minReplicas"] >= 3


@each_overlay
def test_a_pod_has_the_time_to_end_its_requests_its_log_and_the_shipping(overlay: str) -> None:
    notice = containers(overlay)["service"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    closing = log.PredictionLog.close.__defaults__
    assert closing
    # The sidecar's last turn: two tries to connect and to talk, as ship.sh limits them.
    assert pod(overlay)["spec"]["terminationGracePeriodSeconds"] >= notice + server.LAST_REQUESTS + closing[0] + 20


@each_overlay
def test_the_log_s_folder_has_room_for_what_waits_and_what_is_written(overlay: str) -> None:
    (folder,) = [each for each in pod(overlay)["spec"]["volumes"] if each["name"] == "log"]
    assert folder["emptyDir"]["sizeLimit"] == "2Gi"
    (shipping,) = [each["data"] for each in of_kind(overlay, "ConfigMap") if "KEEP_MB" in each["data"]]
    (lasting,) = re.findall(r"--max-duration (\d+)s", (deployed.DEPLOY / "base" / "ship.sh").read_text())
    # Between two looks a full load, 20,000 lines of 500 bytes a second, writes 10 MB a second.
    between = 10 * (int(shipping["EVERY"]) + int(lasting))
    assert int(shipping["KEEP_MB"]) + between + 2 * log.MOST_WAITING // 2**20 < 2048


@each_overlay
def test_the_sidecar_stays_beside_the_service_and_works_without_any_bucket(overlay: str) -> None:
    sidecar = containers(overlay)["log"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar in pod(overlay)["spec"]["initContainers"]
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(overlay, "ConfigMap")}
    configured, secret = sidecar["envFrom"]
    assert maps[configured["configMapRef"]["name"]]["DESTINATION"] == ""
    assert secret["secretRef"]["optional"] is True
    (script,) = [each for each in pod(overlay)["spec"]["volumes"] if each["name"] == "script"]
    assert set(maps[script["configMap"]["name"]]) == {"ship.sh"}


@pytest.mark.parametrize("environment", deployed.ENVIRONMENTS)
def test_a_bucket_is_one_line_of_an_overlay_and_opens_https_to_the_outside(environment: str, tmp_path: Path) -> None:
    overlay = deployed.release(tmp_path / environment) / "overlays" / environment
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    line = "# components:\n#   - ../../components/log-to-bucket\n"
    assert line in text
    file.write_text(text.replace(line, line.replace("# ", "").replace("#", "")))
    made = deployed.kustomize(overlay)
    for manifest in made:
        if is_built_in(manifest):
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    (shipping,) = [each["data"] for each in made if each["kind"] == "ConfigMap" and "KEEP_MB" in each["data"]]
    assert shipping["DESTINATION"] == "bucket:my-bucket/predictions"
    assert "RCLONE_CONFIG_BUCKET_TYPE" in shipping
    policies = {each["metadata"]["name"]: each for each in made if each["kind"] == "NetworkPolicy"}
    (egress,) = policies["log-to-bucket"]["spec"]["egress"]
    assert egress["ports"] == [{"protocol": "TCP", "port": 443}]
    assert "169.254.0.0/16" in egress["to"][0]["ipBlock"]["except"]
    assert manifests.problems(overlay.parent.parent) == []


@pytest.mark.parametrize(
    ("cloud", "ways"),
    [
        ("GKE, Workload Identity", {("169.254.169.254/32", 80), ("169.254.169.252/32", 988)}),
        ("EKS, Pod Identity", {("169.254.170.23/32", 80)}),
    ],
)
def test_an_identity_that_the_node_hands_out_is_a_comment_away(cloud: str, ways: set[tuple[str, int]]) -> None:
    lines = (deployed.DEPLOY / "components/log-to-bucket/network.yaml").read_text().splitlines()
    (begin,) = [number for number, line in enumerate(lines) if line.startswith(f"    # {cloud}")]
    block = itertools.takewhile(re.compile(r"    # [- ]").match, lines[begin + 1 :])
    opened = [line.replace("# ", "", 1) for line in block]
    policy = yaml.safe_load("\n".join([*lines[: begin + 1], *opened]))
    kubernetes_validate.validate(policy, VERSIONS[0], strict=True)
    _, *more = policy["spec"]["egress"]
    assert {(each["to"][0]["ipBlock"]["cidr"], each["ports"][0]["port"]) for each in more} == ways
    assert all(len(each["to"]) == len(each["ports"]) == 1 for each in more)


# The canary.


def test_the_canary_is_production_with_other_steps() -> None:
    ours = {(each["kind"], each["metadata"]["name"]): each for each in deployed.rendered("canary")}
    plain = {(each["kind"], each["metadata"]["name"]): each for each in deployed.rendered("production")}
    changed = {key for key, each in plain.items() if ours[key] != each}
    assert changed == {("HorizontalPodAutoscaler", "lockstep-service")}
    assert {kind for kind, _ in set(ours) - set(plain)} == {"Rollout", "AnalysisTemplate"}


def test_flux_does_not_wait_for_a_rollout_which_it_never_takes_for_ready(tmp_path: Path) -> None:
    tree = deployed.release(tmp_path / "production")
    about, plain = (
        yaml.safe_load((tree / f"examples/flux/{name}.yaml").read_text()) for name in ("canary", "production")
    )
    assert plain["spec"].pop("wait") is True
    assert about["spec"].pop("wait") is False
    assert not {"healthChecks", "healthCheckExprs"} & set(about["spec"])
    assert (tmp_path / about["spec"].pop("path") / "rollout.yaml").is_file()
    plain["spec"].pop("path")
    assert about == plain, "one takes the place of the other"


def test_the_page_leaves_the_canary_with_pods_before_anybody_follows_another_folder() -> None:
    page = (deployed.DEPLOY / "README.md").read_text(encoding="utf-8")
    namespace, name = one("canary", "Namespace")["metadata"]["name"], one("canary", "Deployment")["metadata"]["name"]
    least = one("canary", "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert f"kubectl --namespace {namespace} scale deployment/{name} --replicas {least}\n" in page
    assert "README.md" in (deployed.DEPLOY / "overlays/canary/kustomization.yaml").read_text(encoding="utf-8")
    assert "examples/flux/canary.yaml" in page


def test_the_rollout_runs_the_deployment_s_pods() -> None:
    reference = one("canary", "Rollout")["spec"]["workloadRef"]
    deployment = one("canary", reference["kind"], reference["name"])
    assert deployment["apiVersion"] == reference["apiVersion"]
    assert reference["scaleDown"] == "onsuccess"


def test_every_step_beyond_the_first_is_judged_before_it_and_harm_all_along() -> None:
    canary = one("canary", "Rollout")["spec"]["strategy"]["canary"]
    templates = {each["metadata"]["name"]: each for each in of_kind("canary", "AnalysisTemplate")}
    kinds = [next(iter(step)) for step in canary["steps"]]
    assert kinds == ["setWeight", "pause", "analysis"] * 2
    for asked in [canary["analysis"], *(step["analysis"] for step in canary["steps"] if "analysis" in step)]:
        (template,) = [templates[each["templateName"]] for each in asked["templates"]]
        wanted = {each["name"] for each in template["spec"]["args"] if "value" not in each}
        assert wanted == {each["name"] for each in asked["args"]}


def test_pods_carry_the_label_by_which_the_analysis_tells_them_apart() -> None:
    (label,) = one("canary", "ServiceMonitor")["spec"]["podTargetLabels"]
    assert label == "rollouts-pod-template-hash"
    queries = [metric["provider"]["prometheus"]["query"] for _, metric in deployed.analysis()]
    assert queries
    assert all(label.replace("-", "_") in query for query in queries)


@pytest.mark.parametrize("metric", deployed.analysis(), ids=lambda each: "-".join([each[0], each[1]["name"]]))
def test_an_analysis_fails_on_harm_and_too_few_samples_are_no_success(metric: tuple[str, dict[str, Any]]) -> None:
    template, asked = metric
    assert asked["failureCondition"].startswith("len(result) > 0 && ")
    assert asked["failureLimit"] == 0
    if template == "lockstep-likeness":
        assert asked["successCondition"].startswith("len(result) > 0 && ")
        # Argo Rollouts takes a run that ends by its count for a success, unless one success was asked for.
        assert asked["consecutiveSuccessLimit"] == 1
        assert asked["inconclusiveLimit"] >= asked["count"] > 1
