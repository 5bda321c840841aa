"""Kubernetes manifests: files of several documents and lists, into resources.

Every resource is seen: one of a kind that is not imported is not carried as a whole.
A file that is not YAML, or not UTF-8, has no answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config.document import Block, Document, Items
from gateway.config.load import read
from gateway.config.problem import ConfigInvalid, Problem
from gateway.convert.fields import Fields
from gateway.convert.report import Report
from gateway.model.place import Place

_BOOKKEEPING = (
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink",
    "uid",
)  # fmt: skip
_MEANT = ("istio.io", "linkerd.io")  # annotations under these domains change what a policy does


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource; `kind` is as it is written."""

    group: str  # of its apiVersion, "" where there is none
    kind: str
    name: str
    namespace: str | None
    fields: Fields  # of all; its own head is read already
    annotations: dict[str, str]  # those that change what it does; whoever knows one takes it out

    def spec(self) -> Fields:
        """Its spec; where it has none, or null, an empty one (Kubernetes reads both so)."""
        if self.fields.block.get("spec") is None:
            self.fields.take("spec")
            return Fields(Block({}, self.fields.where, "spec"), "spec", self.fields.resource, self.fields.report)
        return self.fields.fields("spec") or Fields(
            Block({}, self.fields.where, "spec"), "spec", self.fields.resource, self.fields.report
        )


def resources(path: Path, report: Report) -> Iterator[Resource]:
    """The resources of a file in its order. Raises ConfigUnreadable, ConfigInvalid."""
    data = read(path)
    file = str(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigInvalid([Problem(Place(file, 1, 1), "not UTF-8: write the file in UTF-8")]) from None
    document = Document(text, file, lambda scalar, _: scalar, several=True)
    if document.problems:
        raise ConfigInvalid(document.problems)
    for root, where in zip(document.roots, document.roots_at, strict=True):
        yield from _unfold(root, where, report)


def _unfold(root: object, where: Place, report: Report) -> Iterator[Resource]:
    """A document, which may be a list of resources in either of two ways."""
    if root is None:
        return
    if isinstance(root, Items):
        for index, one in enumerate(root):
            yield from _unfold(one, root.values_at[index], report)
    elif not isinstance(root, Block):
        report.lose(where, "(document)", "(whole)", "it is no resource: a mapping with apiVersion and kind is wanted")
    elif str(root.get("kind", "")).endswith("List") and isinstance(root.get("items"), Items):
        yield from _unfold(root["items"], root.where, report)
    else:
        yield _resource(root, report)


def _resource(block: Block, report: Report) -> Resource:
    metadata = block.get("metadata")
    head = metadata if isinstance(metadata, Block) else Block({}, block.where)
    kind, name = str(block.get("kind") or "?"), str(head.get("name") or "?")
    fields = Fields(block, "", f"{kind}/{name}", report)
    fields.take("apiVersion", "kind", "metadata", "status")
    meta = Fields(head, "metadata", fields.resource, report)
    meta.take(*_BOOKKEEPING)
    meta.rest()
    found = head.get("annotations")
    annotations = (
        {
            key: value if isinstance(value, str) else str(value).lower()
            for key, value in found.items()
            if key.partition("/")[0].endswith(_MEANT)
        }
        if isinstance(found, Block)
        else {}
    )
    namespace = head.get("namespace")
    group = str(block.get("apiVersion") or "").rpartition("/")[0]
    return Resource(group, kind, name, str(namespace) if namespace else None, fields, annotations)


def lose_annotations(resource: Resource) -> None:
    """Say of the annotations that nobody took that they are not carried."""
    metadata = resource.fields.block.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, Block) else None
    for key in resource.annotations:
        where = found.keys_at.get(key, found.where) if isinstance(found, Block) else resource.fields.where
        resource.fields.report.lose(
            where, resource.fields.resource, f'metadata.annotations["{key}"]', "it has no equal here"
        )
