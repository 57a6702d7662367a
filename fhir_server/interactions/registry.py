"""Every interaction this server has, as data: routing, capabilities and OpenAPI walk this table."""

from fhir_server.interactions.batch import batch_or_transaction
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import conditional_delete, delete
from fhir_server.interactions.history import system_history, type_history
from fhir_server.interactions.index_status import index_status
from fhir_server.interactions.patch import conditional_patch, patch
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.interactions.trail import (
    instance_history,
    read_one,
    read_version,
    search_all,
)
from fhir_server.interactions.update import conditional_update, update
from fhir_server.security.access import CREATE, DELETE, READ, SEARCH, UPDATE

# What has to be granted for each; those that are not here need nothing, or each entry for itself.
_NEEDS = {
    "search-system": SEARCH,
    "search-system-post": SEARCH,
    "history-system": SEARCH,
    "create": CREATE,
    "search": SEARCH,
    "search-post": SEARCH,
    "search-compartment": SEARCH,
    "search-compartment-post": SEARCH,
    "update-conditional": UPDATE,
    "patch-conditional": UPDATE,
    "delete-conditional": DELETE,
    "history-type": SEARCH,
    "read": READ,
    "update": UPDATE,
    "patch": UPDATE,
    "delete": DELETE,
    "history-instance": READ,
    "vread": READ,
}

INTERACTIONS: tuple[InteractionDefinition, ...] = tuple(
    InteractionDefinition(*row, needs=_NEEDS.get(row[0], ""))
    for row in (
        ("capabilities", "", "system", "GET", "metadata", capabilities, "",
         "What this server can do"),
        ("batch", "transaction", "system", "POST", "", batch_or_transaction, "resource",
         "Carry out the entries of a batch or transaction Bundle"),
        ("search-system", "search-system", "system", "GET", "", search_all, "",
         "Search all types"),
        ("search-system-post", "", "system", "POST", "_search", search_all, "form",
         "Search all types, with the parameters in the body"),
        ("history-system", "history-system", "system", "GET", "_history", system_history, "",
         "Every version of every resource"),
        ("index-status", "", "system", "GET", "$index-status", index_status, "",
         "How complete the search index is, and the state of each search parameter of your own"),
        ("create", "create", "type", "POST", "[type]", create, "resource",
         "Create a resource; with If-None-Exist only if nothing matches"),
        ("search", "search-type", "type", "GET", "[type]", search_all, "",
         "Search a type"),
        ("search-post", "", "type", "POST", "[type]/_search", search_all, "form",
         "Search a type, with the parameters in the body"),
        ("search-compartment", "", "instance", "GET", "[type]/[id]/[type]", search_all, "",
         "Search what belongs to the compartment of a resource; * searches all types"),
        ("search-compartment-post", "", "instance", "POST", "[type]/[id]/[type]/_search",
         search_all,
         "form", "Search a compartment, with the parameters in the body"),
        ("update-conditional", "", "type", "PUT", "[type]", conditional_update, "resource",
         "Update the resource that the query matches, or create it"),
        ("patch-conditional", "", "type", "PATCH", "[type]", conditional_patch, "patch",
         "Patch the resource that the query matches"),
        ("delete-conditional", "", "type", "DELETE", "[type]", conditional_delete, "",
         "Delete the resource that the query matches"),
        ("history-type", "history-type", "type", "GET", "[type]/_history", type_history, "",
         "Every version of every resource of a type"),
        ("read", "read", "instance", "GET", "[type]/[id]", read_one, "",
         "Read the current version"),
        ("update", "update", "instance", "PUT", "[type]/[id]", update, "resource",
         "Store a new version, or create the resource under this id"),
        ("patch", "patch", "instance", "PATCH", "[type]/[id]", patch, "patch",
         "Store what a patch makes of the current version"),
        ("delete", "delete", "instance", "DELETE", "[type]/[id]", delete, "",
         "Delete the resource; its history stays"),
        ("history-instance", "history-instance", "instance", "GET", "[type]/[id]/_history",
         instance_history, "", "Every version of the resource"),
        ("vread", "vread", "instance", "GET", "[type]/[id]/_history/[vid]", read_version,
         "", "Read one version"),
    )
)  # fmt: skip
