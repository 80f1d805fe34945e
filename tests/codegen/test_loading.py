"""Which files of a tree are read, and their possible encodings and links."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from sdk import avro
from tests.codegen.tree import Tree, record


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors write the mark before JSON, IDL and TOML alike; it is dropped, as Java drops it."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/R/v1.avsc": "\ufeff" + json.dumps(record("R", ("x", "int"))),
            "shop/R/event.toml": '\ufeffkey = "x"\n',
            "idl.avdl": "\ufeffprotocol P { record I { int x; } }",
        }
    )
    assert tree.run().status == 0
    assert "\ufeff" not in "".join(tree.generated().values())


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    """A link to a folder elsewhere brings its schemas in; one that leads back adds nothing."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": record("R", ("x", "int"))})
    shared = tmp_path / "elsewhere"
    shared.mkdir()
    (shared / "t.avsc").write_text(json.dumps(record("T")), encoding="utf-8")
    (tree.schemas / "shared").symlink_to(shared, target_is_directory=True)
    (tree.schemas / "shop" / "back").symlink_to(tree.schemas / "shop", target_is_directory=True)
    (shared / "top").symlink_to(tree.schemas, target_is_directory=True)
    assert tree.run().status == 0
    assert {"shop/r/v1.py", "shop/t/v1.py"} <= set(tree.generated())


def test_hidden_files_are_not_read(tmp_path: Path) -> None:
    """Files that editors and file systems put beside a schema are not read as schemas."""
    tree = Tree(tmp_path)
    tree.write({"r.avsc": record("R"), "._r.avsc": "\0", ".git/x.avsc": "{"})
    (tree.schemas / ".#r.avsc").symlink_to("nowhere")
    assert tree.run().status == 0


def test_half_characters_in_docs_do_not_keep_a_module_from_loading(tmp_path: Path) -> None:
    """JSON may escape half of a character; Python source shows it as what it is, unreadable."""
    tree = Tree(tmp_path)
    tree.write({"r.avsc": {**record("R"), "doc": "half \ud83d"}})
    assert tree.run().status == 0
    with tree.imported("shop.r.v1") as module:
        assert module.R.__doc__ == "half \ufffd"
        assert json.loads(module.R.__event__.schema)["doc"] == "half \ud83d"


def test_a_decimal_may_claim_any_precision(tmp_path: Path) -> None:
    """Its class and codec are made at once, however many digits the schema allows."""
    tree = Tree(tmp_path)
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 2**31 - 1, "scale": 1}
    tree.write({"r.avsc": record("R", ("x", kind, "\u000f"))})
    assert tree.run().status == 0
    with tree.imported("shop.r.v1") as module:
        event = module.R()
        assert avro.decode(module.R, avro.encode(event)).x == Decimal("1.5")
