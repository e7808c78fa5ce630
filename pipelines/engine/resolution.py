"""Inputs from earlier runs: the model that is in service, the data that came before.

Whatever is chosen is other than what this run has itself: a second run, in which all comes from the
cache, therefore finds the same again, and finds a model anew where another was pushed since.
"""

from pipelines.engine.artifacts import ExampleAnomalies, PushedModel
from pipelines.engine.graph import LATEST_PUSHED, LATEST_VALID, Resolve
from pipelines.engine.store import ArtifactRecord, MetadataStore


def resolve(
    store: MetadataStore, pipeline: str, wanted: Resolve, own: ArtifactRecord
) -> ArtifactRecord | None:
    """Returns the artifact of an earlier run that `wanted` describes; None if there is none.

    Args:
        store: the records.
        pipeline: the pipeline's name.
        wanted: its rule is LATEST_PUSHED, the newest that a push was made from, or LATEST_VALID,
            the newest written before `own` that was found to be without blocking anomalies.
        own: what this run has.
    """
    artifact_type = wanted.type.__name__
    if wanted.rule == LATEST_PUSHED:
        return _latest_pushed(store, pipeline, artifact_type, own)
    if wanted.rule == LATEST_VALID:
        return _latest_valid(store, pipeline, artifact_type, own)
    raise ValueError(f"expected {LATEST_PUSHED} or {LATEST_VALID}. Received: {wanted.rule}")


def _latest_pushed(
    store: MetadataStore, pipeline: str, artifact_type: str, own: ArtifactRecord
) -> ArtifactRecord | None:
    for push in store.artifacts(pipeline, PushedModel.__name__):
        execution, _ = store.producer(push.id)
        for artifact in store.inputs(execution.id).values():
            if artifact.type == artifact_type and artifact.fingerprint != own.fingerprint:
                return artifact
    return None


def _latest_valid(
    store: MetadataStore, pipeline: str, artifact_type: str, own: ArtifactRecord
) -> ArtifactRecord | None:
    for artifact in store.artifacts(pipeline, artifact_type):
        if artifact.id < own.id and artifact.fingerprint != own.fingerprint:
            if any(_finds_no_fault(store, reader.id) for reader in store.readers(artifact.id)):
                return artifact
    return None


def _finds_no_fault(store: MetadataStore, execution_id: int) -> bool:
    found = [
        output
        for output in store.outputs(execution_id).values()
        if output.type == ExampleAnomalies.__name__
    ]
    return any(output.properties.get("blocking") is False for output in found)
