"""What a graph consists of, and whether ONNX Runtime can run it: operators, their domains and versions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from onnx import ModelProto, NodeProto, defs

from tasks.importing.graphs import AI_ONNX, MICROSOFT, ML, domain_of, nodes_of

SHIPPED = (AI_ONNX, ML, MICROSOFT)
"""Domains whose operators are part of ONNX Runtime."""
OLDEST = 7
"""Of the main domain: ONNX Runtime promises nothing for earlier ones."""
ELSEWHERE = {
    "ai.onnx.contrib": "onnxruntime-extensions, a library of its own",
    "com.microsoft.extensions": "onnxruntime-extensions, a library of its own",
    "org.pytorch.aten": "PyTorch; export with torch.onnx.export(..., dynamo=True)",
}
"""What operators of other domains need."""
LIFTED = (AI_ONNX, "Constant")
"""Made a weight when ONNX Runtime loads a graph, which so has no kernel for it."""


def shown(domain: str) -> str:
    """The domain's name for people."""
    return domain or "ai.onnx"


def opsets_of(model: ModelProto) -> dict[str, int]:
    """The versions of the domains that the graph uses, functions of its own aside."""
    own = {function.domain for function in model.functions}
    used = {domain_of(node) for node in nodes_of(model)} - own
    stated: dict[str, int] = {}
    for opset in (*model.opset_import, *(each for function in model.functions for each in function.opset_import)):
        domain = AI_ONNX if opset.domain == "ai.onnx" else opset.domain
        stated.setdefault(domain, opset.version)
    return {domain: version for domain, version in sorted(stated.items()) if domain in used or domain == AI_ONNX}


def operators_of(model: ModelProto) -> Mapping[str, int]:
    """How often each operator occurs, the most frequent first; those of other domains with it before their names."""
    found = Counter(_called(node) for node in nodes_of(model))
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _called(node: NodeProto) -> str:
    domain = domain_of(node)
    return f"{domain}.{node.op_type}" if domain else node.op_type


def operator_problems(model: ModelProto) -> Iterator[str]:
    """A line for each domain, version of it and operator that ONNX Runtime on this machine does not have."""
    opsets = opsets_of(model)
    own = {(function.domain, function.name) for function in model.functions}
    used = {(domain_of(node), node.op_type) for node in nodes_of(model)} - own
    for domain in sorted({domain for domain, _ in used if domain not in SHIPPED}):
        names = ", ".join(sorted(name for each, name in used if each == domain)[:5])
        needs = f"; they belong to {ELSEWHERE[domain]}" if domain in ELSEWHERE else ""
        yield f"operators of the domain {domain!r} ({names}) are not part of ONNX Runtime{needs}"
    yield from _version_problems(opsets)
    for domain, name in sorted(used):
        if domain in SHIPPED and not _runs(domain, name, opsets.get(domain, 1)):
            version = f" of opset {opsets[domain]}" if domain in opsets else ""
            yield f"operator {name!r} ({shown(domain)}{version}): ONNX Runtime has none on the processor"


def _version_problems(opsets: Mapping[str, int]) -> Iterator[str]:
    for domain, version in opsets.items():
        newest = _newest().get(domain)
        if newest and version > newest:
            what = f"{shown(domain)} opset {version} is newer than ONNX Runtime knows ({newest})"
            yield f"{what}; export with opset {newest} or an earlier one"
    if opsets.get(AI_ONNX, OLDEST) < OLDEST:
        what = f"ai.onnx opset {opsets[AI_ONNX]} is older than ONNX Runtime promises to run ({OLDEST})"
        yield f"{what}; raise it with onnx.version_converter.convert_version(model, {OLDEST})"


@cache
def _newest() -> Mapping[str, int]:
    """The newest version of each domain that ONNX Runtime has an operator of."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found: dict[str, int] = {}
    for schema in state.get_all_operator_schema():
        found[schema.domain] = max(found.get(schema.domain, 0), schema.since_version)
    return {domain: version for domain, version in found.items() if domain != MICROSOFT}


@cache
def _kernels() -> Mapping[tuple[str, str], tuple[tuple[int, int], ...]]:
    """First and last version of what ONNX Runtime runs on the processor, by domain and name."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for kernel in state.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            found.setdefault((kernel.domain, kernel.op_name), []).append(tuple(kernel.version_range))
    return {name: tuple(ranges) for name, ranges in found.items()}


def _runs(domain: str, name: str, version: int) -> bool:
    """Whether there is a kernel, or the operator is defined by others; of com.microsoft only the session can tell."""
    if (domain, name) == LIFTED or any(first <= version <= last for first, last in _kernels().get((domain, name), ())):
        return True
    if domain == MICROSOFT:
        return any(schema == (domain, name) for schema in _known())
    try:
        schema: Any = defs.get_schema(name, version, domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


@cache
def _known() -> frozenset[tuple[str, str]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return frozenset((schema.domain, schema.name) for schema in state.get_all_operator_schema())
