"""The command: what it writes, what it leaves alone, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.tree import Run, Tree, record, run, texts

ROOT = Path(__file__).parents[2]
ORDER = record("Order", ("id", "string"))
ORDER_2 = record("Order", ("id", "string"), ("note", ["null", "string"], None))
PAYMENT = record("Payment", ("id", "string"), ("order", "shop.Order"), namespace="money")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree of two domains, one of which refers to the other."""
    tree = Tree(tmp_path)
    tree.write({"shop/Order/v1.avsc": ORDER, "money/Payment/v1.avsc": PAYMENT})
    return tree


def script(*arguments: str, seed: str = "0") -> Run:
    """Run the command as a script, from the root."""
    done = subprocess.run(
        [sys.executable, "codegen/generate.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def test_the_samples_are_up_to_date() -> None:
    """The committed samples/contracts are up to date with the schemas."""
    done = script("--check")
    assert done.status == 0, done.out + done.err


def test_output_does_not_depend_on_the_hash_seed(tree: Tree) -> None:
    """Runs with different hash seeds write the same bytes."""
    outputs = []
    for seed in ("0", "1", "4242"):
        output = tree.base / f"seed{seed}" / "contracts"
        done = script("--schemas", str(tree.schemas), "--output", str(output), seed=seed)
        assert done.status == 0, done.err
        outputs.append(texts(output))
    assert outputs[0] == outputs[1] == outputs[2]


def test_output_does_not_depend_on_where_the_schemas_are(tree: Tree, tmp_path: Path) -> None:
    """The same tree in another folder becomes the same package."""
    tree.run()
    other = Tree(tmp_path / "elsewhere")
    other.write({"shop/Order/v1.avsc": ORDER, "money/Payment/v1.avsc": PAYMENT})
    other.run()
    assert tree.generated() == other.generated()


def test_a_checkout_with_carriage_returns_gives_the_same_output(tree: Tree) -> None:
    """Line endings of the schema files do not show in the output."""
    tree.run()
    before = tree.generated()
    for path in tree.schemas.rglob("*.avsc"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert tree.run("--check").status == 0
    assert tree.generated() == before


def test_unchanged_files_are_not_rewritten(tree: Tree) -> None:
    """A second run touches nothing, and one after a change only what changed."""
    tree.run()
    times = {path: path.stat().st_mtime_ns for path in tree.output.rglob("*.py")}
    assert "0 written" in tree.run().err
    tree.write({"shop/Order/v2.avsc": ORDER_2})
    (tree.schemas / "money/Payment/event.toml").write_text(
        '[versions.1.references]\n"shop.Order" = 1\n', encoding="utf-8"
    )
    tree.run()
    same = tree.output / "shop/order/v1.py"
    assert same.stat().st_mtime_ns == times[same]


def test_orphans_are_removed_and_other_files_are_kept(tree: Tree) -> None:
    """Generated files without a schema are removed; files of others are kept."""
    tree.run()
    note = tree.output / "shop" / "README.py"
    note.write_text("# mine\n", encoding="utf-8")
    for path in sorted((tree.schemas / "money").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    done = tree.run()
    assert done.status == 0
    assert not (tree.output / "money").exists()
    assert note.exists()


def test_a_file_that_was_not_generated_is_never_overwritten(tree: Tree) -> None:
    """A file of somebody else in a module's place is a finding, and is not changed."""
    mine = tree.output / "shop" / "order" / "v1.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("x = 1\n", encoding="utf-8")
    done = tree.run()
    assert done.status == 1
    assert "not generated" in done.err
    assert texts(tree.output) == {"shop/order/v1.py": "x = 1\n"}


def test_check_writes_nothing_and_tells_the_command(tree: Tree) -> None:
    """--check shows the difference and the one command to run, and exits 1."""
    done = tree.run("--check")
    assert done.status == 1
    assert not tree.output.exists()
    assert "+class Order:" in done.out
    assert f"--schemas {tree.schemas}" in done.err
    assert "--check" not in done.err.rpartition("run:")[2]


def test_check_notices_a_generated_file_that_somebody_edited(tree: Tree) -> None:
    """Drift by hand is drift too."""
    tree.run()
    module = tree.output / "shop" / "order" / "v1.py"
    module.write_text(module.read_text(encoding="utf-8").replace("id: str", "id: int"))
    done = tree.run("--check")
    assert done.status == 1
    assert "-    id: int" in done.out
    assert "1 file is out of date" in done.err


def test_diff_shows_changes_and_exits_0(tree: Tree) -> None:
    """--diff is for reading: it writes nothing and finds no fault."""
    done = tree.run("--diff")
    assert done.status == 0
    assert "+class Order:" in done.out
    assert not tree.output.exists()


def test_a_domain_brings_what_it_refers_to(tree: Tree) -> None:
    """--domain writes the domain, the types it names, and nothing else."""
    tree.write({"other/Thing/v1.avsc": record("Thing", ("x", "int"), namespace="other")})
    assert tree.run("--domain", "money").status == 0
    assert {"money/payment/v1.py", "shop/order/v1.py"} < set(tree.generated())
    assert "other/thing/v1.py" not in tree.generated()


def test_domains_generated_one_by_one_make_the_whole_package(tree: Tree) -> None:
    """Runs for each domain end where one run for all ends."""
    tree.write({"other/Thing/v1.avsc": record("Thing", ("x", "int"), namespace="other")})
    for domain in ("money", "other", "shop"):
        assert tree.run("--domain", domain).status == 0
    assert tree.run("--check").status == 0


def test_a_domain_does_not_care_about_defects_elsewhere(tree: Tree) -> None:
    """A broken schema of another team does not stop this one."""
    tree.write({"other/Broken/v1.avsc": "{"})
    assert tree.run("--domain", "money").status == 0
    assert tree.run().status == 1


def test_a_domain_of_which_nothing_can_be_read(tree: Tree) -> None:
    """The domain's defects are reported, not an unknown domain."""
    tree.write({"other/Broken/v1.avsc": "{"})
    done = tree.run("--domain", "other")
    assert done.status == 1
    assert "other/Broken/v1.avsc:1:2: not JSON" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--domain", "shp"], "--domain shop"),
        (["--package", "not a name"], "not a package name"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_exits_2(tree: Tree, arguments: list[str], message: str) -> None:
    """Usage that cannot be meant is told apart from findings."""
    done = tree.run(*arguments)
    assert done.status == 2
    assert message in done.err


def test_a_missing_schemas_folder_exits_2(tmp_path: Path) -> None:
    """Without schemas there is nothing to be right or wrong about."""
    done = run("--schemas", str(tmp_path / "none"), "--output", str(tmp_path / "out"))
    assert done.status == 2
    assert "no folder of schemas" in done.err


def test_a_folder_without_schemas_exits_2_and_keeps_the_output(tree: Tree) -> None:
    """A wrong --schemas must not look like a tree from which everything was removed."""
    tree.run()
    before = tree.generated()
    empty = tree.base / "empty"
    empty.mkdir()
    done = run("--schemas", str(empty), "--output", str(tree.output))
    assert done.status == 2
    assert "no schema below" in done.err
    assert tree.generated() == before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('schema = "x"', "did you mean 'schemas'"),
        ("schemas = 5", "write text in quotes"),
        ("strict = 1", "write true or false"),
        ("schemas = ", "cannot be read"),
    ],
)
def test_wrong_project_configuration_exits_2(tmp_path: Path, table: str, message: str) -> None:
    """A mistake in pyproject.toml is reported with the file and a remedy."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.sdk.codegen]\n{table}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "codegen" / "generate.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "pyproject.toml" in done.stderr


def test_a_team_runs_it_on_its_own_repository(tmp_path: Path) -> None:
    """Paths in pyproject.toml count from its folder, wherever the command runs below it."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.sdk.codegen]\nschemas = "avro"\noutput = "src/acme_contracts"\n', encoding="utf-8"
    )
    target = tmp_path / "avro" / "Order.avsc"
    target.parent.mkdir()
    target.write_text('{"type": "record", "name": "Order", "fields": []}', encoding="utf-8")
    below = tmp_path / "src"
    below.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "codegen" / "generate.py")],
        cwd=below,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "src/acme_contracts/order/v1.py").exists()
    assert (tmp_path / "src/acme_contracts/py.typed").exists()


def test_what_a_terminal_cannot_show_is_escaped(tree: Tree) -> None:
    """Neither a lone surrogate nor a terminal without Unicode makes the command crash."""
    tree.write(
        {
            "shop/A/v1.avsc": '{"type": "record", "name": "A", "fields": [],'
            ' "doc": "日 \\ud800"} // a comment',
            "shop/B/v1.avsc": '{"\\ud800": 1, "\\ud800": 2, "name": "日"}',
        }
    )
    places = ["--schemas", str(tree.schemas), "--output", str(tree.output)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "codegen/generate.py", *places]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    assert rb"/\ud800" in done.stderr
    (tree.schemas / "shop/B/v1.avsc").unlink()
    done = subprocess.run(
        [*command, "--diff"], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert tree.run().status == 0


def test_nothing_is_written_when_something_is_wrong(tree: Tree) -> None:
    """One bad schema keeps the good ones from being written, too."""
    tree.write({"shop/Bad/v1.avsc": record("Bad", ("x", "strin"))})
    assert tree.run().status == 1
    assert not tree.output.exists()


def test_importing_a_contract_loads_nothing_heavy(tree: Tree) -> None:
    """A contract needs the standard library, attrs and sdk.events: no client, no settings."""
    code = (
        "import sys; sys.path[:0] = ['samples', '.']\n"
        "from contracts.orders import OrderCreated\n"
        "from contracts.delivery import ShipmentDispatched\n"
        "import contracts; contracts.CATALOG.find('OrderCreated', 1)\n"
        "heavy = {'confluent_kafka', 'dynaconf', 'fastavro', 'httpx', 'requests', 'urllib3',"
        " 'tenacity', 'structlog', 'cattrs', 'http.client'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
