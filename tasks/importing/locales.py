"""Locales that graphs ask for in StringNormalizer, brought to one that other machines have too."""

from onnx import ModelProto, NodeProto, TensorProto, helper

from models.errors import InputError
from tasks.importing.graphs import ML, nodes_of
from tasks.importing.session import Running

EVERYWHERE = "C.UTF-8"
"""Slim images have it; it changes the case of the letters of all alphabets."""
OF_THEIR_OWN = ("tr", "az", "lt")
"""Languages in which a letter has another lower case: the Turkish dotless i, Lithuanian accents."""
IMPLIED = "en_US"
"""What ONNX Runtime takes where a graph names none."""
OPSETS = {"": 12, ML: 2}


def rewrite_locales(model: ModelProto, where: str) -> tuple[str, ...]:
    """What was rewritten in the model, a line for each locale; nothing where none is asked for.

    A version is scored on other machines than the one that imports it, so a locale is brought to `EVERYWHERE` also
    where this machine has it, but for the languages with a case of their own. Raises InputError for one of these that
    this machine lacks, `where` names the file.
    """
    changed: dict[str, int] = {}
    for node in nodes_of(model):
        if node.op_type == "StringNormalizer" and _needs_locale(node):
            name = _locale(node)
            if name == EVERYWHERE:
                continue
            if name.replace("-", "_").partition("_")[0].lower() in OF_THEIR_OWN:
                _require(name, where)
                continue
            _set(node, "locale", EVERYWHERE)
            changed[name] = changed.get(name, 0) + 1
    return tuple(
        f"locale {name!r} of {count} StringNormalizer rewritten as {EVERYWHERE!r}, which works the same and is on more "
        "machines"
        for name, count in changed.items()
    )


def _needs_locale(node: NodeProto) -> bool:
    """Whether it changes the case of letters, or looks past it."""
    given = {attribute.name: attribute for attribute in node.attribute}
    changes = "case_change_action" in given and given["case_change_action"].s not in (b"NONE", b"")
    sensitive = "is_case_sensitive" in given and given["is_case_sensitive"].i
    return changes or not sensitive


def _locale(node: NodeProto) -> str:
    return next((a.s.decode("utf-8", "replace") for a in node.attribute if a.name == "locale" and a.s), IMPLIED)


def _set(node: NodeProto, name: str, value: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _require(name: str, where: str) -> None:
    """Raises InputError unless ONNX Runtime finds the locale on this machine."""
    if not has_locale(name):
        raise InputError(
            f"{where}: StringNormalizer asks for the locale {name!r}, which this machine lacks and no other replaces; "
            "install it, on Debian with locale-gen, here and wherever the version is scored"
        )


def has_locale(name: str) -> bool:
    """Whether ONNX Runtime finds the locale on this machine."""
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale=name)
    texts = [helper.make_tensor_value_info(each, TensorProto.STRING, [None]) for each in ("x", "y")]
    graph = helper.make_graph([node], "locale", texts[:1], texts[1:])
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    try:
        Running(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString(), "")
    except InputError:
        return False
    return True
