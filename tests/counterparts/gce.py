"""Google's own Python client, and Google's own description of the API, against the stub of hpc-provider-gcp.

    gce.py excerpt DOCUMENT FILE    cuts the excerpt that the Rust tests hold the stub against
    gce.py check DOCUMENT FILE      the committed excerpt says what the document says
    gce.py client ADDRESS           the client drives the stub on ADDRESS
"""

import json
import sys
import time
import uuid

# Resource, method: those that hpc-provider-gcp calls.
METHODS = [
    ("instances", "bulkInsert"),
    ("instances", "delete"),
    ("instances", "list"),
    ("instances", "aggregatedList"),
    ("machineTypes", "aggregatedList"),
    ("acceleratorTypes", "aggregatedList"),
    ("zoneOperations", "get"),
    ("globalOperations", "aggregatedList"),
    ("regions", "list"),
    ("projects", "get"),
    ("reservations", "aggregatedList"),
]
# The stub calls the operations of all zones by what it lists.
NAMES = {"globalOperations.aggregatedList": "operations.aggregatedList"}
# Schema, fields: those that are sent or answered. `None`: all of them.
SCHEMAS = {
    "BulkInsertInstanceResource": ["count", "minCount", "perInstanceProperties", "instanceProperties"],
    "BulkInsertInstanceResourcePerInstanceProperties": ["name"],
    "InstanceProperties": [
        "machineType", "guestAccelerators", "labels", "disks", "networkInterfaces", "serviceAccounts", "scheduling",
        "metadata", "reservationAffinity",
    ],
    "ReservationAffinity": None,
    "Duration": None,
    "AcceleratorConfig": None,
    "AttachedDisk": ["boot", "autoDelete", "initializeParams"],
    "AttachedDiskInitializeParams": ["sourceImage", "diskType", "diskSizeGb", "labels"],
    "NetworkInterface": ["subnetwork", "accessConfigs"],
    "AccessConfig": ["name", "type"],
    "ServiceAccount": None,
    "Scheduling": [
        "provisioningModel", "instanceTerminationAction", "automaticRestart", "onHostMaintenance", "maxRunDuration",
    ],
    "Metadata": ["items"],
    "Operation": [
        "kind", "id", "name", "operationType", "status", "progress", "insertTime", "startTime", "endTime", "zone", "selfLink",
        "targetLink", "error", "httpErrorStatusCode", "httpErrorMessage", "instancesBulkInsertOperationMetadata",
    ],
    "InstancesBulkInsertOperationMetadata": None,
    "BulkInsertOperationStatus": None,
    "QuotaExceededInfo": ["metricName", "limitName", "limit", "dimensions"],
    "InstanceAggregatedList": ["items", "nextPageToken", "unreachables", "warning"],
    "InstancesScopedList": None,
    "InstanceList": ["items", "nextPageToken", "warning"],
    "Instance": [
        "kind", "id", "name", "zone", "machineType", "status", "creationTimestamp", "labels", "labelFingerprint", "scheduling",
        "guestAccelerators", "selfLink", "reservationAffinity",
    ],
    "ReservationAggregatedList": ["items", "nextPageToken", "unreachables", "warning"],
    "ReservationsScopedList": None,
    "Reservation": [
        "kind", "id", "name", "zone", "status", "specificReservation", "specificReservationRequired", "deleteAtTime",
        "resourcePolicies", "selfLink",
    ],
    "AllocationSpecificSKUReservation": ["count", "inUseCount", "assuredCount", "instanceProperties"],
    "AllocationSpecificSKUAllocationReservedInstanceProperties": [
        "machineType", "guestAccelerators", "minCpuPlatform",
    ],
    "MachineTypeAggregatedList": ["items", "nextPageToken", "unreachables", "warning"],
    "MachineTypesScopedList": None,
    "MachineType": ["kind", "id", "name", "guestCpus", "memoryMb", "isSharedCpu", "accelerators", "zone", "deprecated"],
    "DeprecationStatus": ["state"],
    "AcceleratorTypeAggregatedList": ["items", "nextPageToken", "unreachables", "warning"],
    "AcceleratorTypesScopedList": None,
    "AcceleratorType": ["kind", "name", "maximumCardsPerInstance"],
    "OperationAggregatedList": ["items", "nextPageToken", "unreachables", "warning"],
    "OperationsScopedList": None,
    "RegionList": ["items", "nextPageToken"],
    "Region": ["kind", "name", "status", "quotas"],
    "Project": ["kind", "name", "quotas"],
    "Quota": ["metric", "limit", "usage"],
}
KEPT = {"type", "format", "$ref", "enum", "items", "properties", "additionalProperties"}
# Details of an operation's error that nothing here reads.
UNREAD = {"ErrorInfo", "Help", "LocalizedMessage"}


def bare(schema):
    """A schema without its prose, and without the references that nothing follows."""
    kept = {key: value for key, value in schema.items() if key in KEPT}
    if "properties" in kept:
        read = {name: field for name, field in kept["properties"].items() if field.get("$ref") not in UNREAD}
        kept["properties"] = {name: bare(field) for name, field in read.items()}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = bare(kept[key])
    return kept


def excerpt(document):
    methods = {}
    for resource, name in METHODS:
        method = document["resources"][resource]["methods"][name]
        key = f"{resource}.{name}"
        methods[NAMES.get(key, key)] = {
            "httpMethod": method["httpMethod"],
            "path": method["path"],
            "parameters": sorted(method["parameters"]),
            "request": method.get("request"),
            "response": method["response"],
        }
    schemas = {}
    for name, fields in SCHEMAS.items():
        schema = document["schemas"][name]
        kept = fields or list(schema["properties"])
        schemas[name] = {"type": "object", "properties": {field: bare(schema["properties"][field]) for field in kept}}
    return {
        "source": "compute.v1.json of google-api-python-client 2.202.0 (Apache-2.0)",
        "revision": document["revision"],
        "servicePath": document["servicePath"],
        "methods": methods,
        "schemas": schemas,
    }


def written(value):
    """One line for each method and schema: small, and a change is seen."""
    parts = [f'"{key}": {json.dumps(value[key])}' for key in ("source", "revision", "servicePath")]
    for key in ("methods", "schemas"):
        lines = [f'    "{name}": {json.dumps(entry, separators=(",", ":"))}' for name, entry in value[key].items()]
        parts.append(f'"{key}": {{\n' + ",\n".join(lines) + "\n  }")
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def client(address):
    from google.api_core.exceptions import Conflict, NotFound
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import compute_v1 as compute

    project, zone, host = "research-1234", "us-central1-a", address.removeprefix("http://")

    def at(kind):
        transport = kind.get_transport_class("rest")
        return kind(transport=transport(host=host, credentials=AnonymousCredentials(), url_scheme="http"))

    instances = at(compute.InstancesClient)
    operations = at(compute.ZoneOperationsClient)

    def create(names, request_id, owner="python", **more):
        disk = compute.AttachedDisk(
            boot=True, auto_delete=True, initialize_params=compute.AttachedDiskInitializeParams(source_image="image")
        )
        properties = compute.InstanceProperties(
            machine_type="a2-ultragpu-8g", labels={"hpc-owner": owner}, disks=[disk],
            **(more or {"scheduling": compute.Scheduling(provisioning_model="SPOT", instance_termination_action="DELETE")}),
        )
        per_instance = {name: compute.BulkInsertInstanceResourcePerInstanceProperties(name=name) for name in names}
        body = compute.BulkInsertInstanceResource(
            count=len(names), min_count=len(names), instance_properties=properties, per_instance_properties=per_instance
        )
        request = compute.BulkInsertInstanceRequest(
            project=project, zone=zone, request_id=request_id, bulk_insert_instance_resource_resource=body
        )
        return instances.bulk_insert_unary(request=request)

    token = str(uuid.uuid4())
    accepted = create(["py-0", "py-1"], token)
    assert accepted.id > 2**53, "a uint64 that no float holds"
    ended = operations.get(project=project, zone=zone, operation=accepted.name)
    assert ended.status == compute.Operation.Status.DONE, ended
    [status] = ended.instances_bulk_insert_operation_metadata.per_location_status.values()
    assert (status.target_vm_count, status.created_vm_count, status.deleted_vm_count) == (2, 2, 0), status
    assert create(["py-0", "py-1"], token).name == accepted.name, "the request id was not honoured"
    try:
        create(["py-0"], str(uuid.uuid4()))
        raise AssertionError("a name was given twice")
    except Conflict:
        pass

    def owned():
        request = compute.AggregatedListInstancesRequest(
            project=project, filter='labels.hpc-owner = "python"', max_results=1
        )
        return [machine for _, scoped in instances.aggregated_list(request=request) for machine in scoped.instances]

    # The stub shows new instances late; its clock runs sixty times as fast.
    for _ in range(50):
        machines = owned()
        if machines:
            break
        time.sleep(0.2)
    assert sorted(machine.name for machine in machines) == ["py-0", "py-1"], machines
    for machine in machines:
        assert machine.scheduling.provisioning_model == "SPOT" and machine.id > 2**53, machine
        [devices] = machine.guest_accelerators
        assert devices.accelerator_count == 8, devices
    types = at(compute.MachineTypesClient).aggregated_list(project=project)
    found = {entry.name: entry for _, scoped in types for entry in scoped.machine_types}
    [device] = found["a3-highgpu-8g"].accelerators
    assert (device.guest_accelerator_type, device.guest_accelerator_count) == ("nvidia-h100-80gb", 8), device
    cards = at(compute.AcceleratorTypesClient).aggregated_list(project=project)
    assert any(card.maximum_cards_per_instance == 4 for _, scoped in cards for card in scoped.accelerator_types)
    regions = {region.name: region for region in at(compute.RegionsClient).list(project=project)}
    quotas = {quota.metric: quota for quota in regions["us-central1"].quotas}
    assert quotas["PREEMPTIBLE_NVIDIA_A100_80GB_GPUS"].usage == 16, quotas
    everywhere = at(compute.ProjectsClient).get(project=project).quotas
    assert [quota.metric for quota in everywhere] == ["GPUS_ALL_REGIONS"], everywhere
    list(at(compute.GlobalOperationsClient).aggregated_list(project=project))
    assert len(list(instances.list(project=project, zone=zone))) == 2
    instances.delete_unary(project=project, zone=zone, instance="py-0")
    try:
        instances.delete_unary(project=project, zone=zone, instance="none-such")
        raise AssertionError("what is not there was deleted")
    except NotFound:
        pass
    try:
        create(["py-9"], "00000000-0000-0000-0000-000000000000")
        raise AssertionError("a request id of zeros was taken")
    except Exception as error:
        assert getattr(error, "code", None) == 400, error

    def standing():
        everywhere = at(compute.ReservationsClient).aggregated_list(project=project)
        [found] = [found for _, scoped in everywhere for found in scoped.reservations]
        return found

    found = standing()
    assert (found.name, found.status, found.specific_reservation_required) == ("training", "READY", True), found
    assert found.specific_reservation.instance_properties.machine_type == "a2-ultragpu-8g", found
    before = (found.specific_reservation.count, found.specific_reservation.in_use_count)
    assert before == (1, 0), found
    named = compute.ReservationAffinity(
        consume_reservation_type="SPECIFIC_RESERVATION", key="compute.googleapis.com/reservation-name", values=["training"]
    )
    standard = compute.Scheduling(provisioning_model="STANDARD")

    def outcome(name, **more):
        operation = create([name], str(uuid.uuid4()), owner="python-set-aside", **more)
        return operations.get(project=project, zone=zone, operation=operation.name)

    assert not outcome("py-r0", scheduling=standard, reservation_affinity=named).error.errors
    assert standing().specific_reservation.in_use_count == 1
    full = outcome("py-r1", scheduling=standard, reservation_affinity=named)
    assert "CONDITION_NOT_MET" in [error.code for error in full.error.errors], full
    nowhere = compute.ReservationAffinity(consume_reservation_type="NO_RESERVATION")
    flex = compute.Scheduling(
        provisioning_model="FLEX_START", instance_termination_action="DELETE", on_host_maintenance="TERMINATE",
        max_run_duration=compute.Duration(seconds=86_400),
    )
    assert not outcome("py-f0", scheduling=flex, reservation_affinity=nowhere).error.errors
    print("the client of Google's agrees with the stub")


def main():
    command = sys.argv[1]
    if command == "client":
        return client(sys.argv[2])
    with open(sys.argv[2], encoding="utf-8") as file:
        text = written(excerpt(json.load(file)))
    if command == "excerpt":
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            file.write(text)
        return None
    with open(sys.argv[3], encoding="utf-8") as file:
        if file.read() != text:
            sys.exit(f"{sys.argv[3]} is not what the document says; cut it again: gce.py excerpt DOCUMENT {sys.argv[3]}")
    print("the excerpt is what the document says")
    return None


main()
