"""What is written is read back, whatever cuts the file off; and the contract's page and the code agree."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raynas.errors import JournalError
from raynas.journal import Writer, read, read_from
from raynas.journal.events import (
    ENVELOPE,
    FIELDS,
    OPTIONAL,
    STATE_OF_STOP,
    FailureReason,
    SessionEnd,
    decode,
    encode,
)

DOCS = Path(__file__).parents[2] / "docs" / "journal.md"

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
notes = st.lists(st.dictionaries(st.sampled_from(["a", "b", "note"]), plain, max_size=3), min_size=1, max_size=5)


def write_all(path: Path, all_fields: list[dict]) -> list[dict]:
    with Writer(path, fsync_seconds=60) as writer:
        return [writer.write("note", **fields) for fields in all_fields]


@settings(max_examples=60, deadline=None)
@given(notes)
def test_what_is_written_is_read(tmp_path_factory, all_fields):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    written = write_all(path, all_fields)
    events = list(read(path))
    assert events == written
    assert [event["seq"] for event in events] == list(range(len(all_fields)))
    assert [{key: value for key, value in event.items() if key not in ENVELOPE} for event in events] == all_fields


@settings(max_examples=15, deadline=None)
@given(all_fields=notes, places=st.sets(st.floats(0, 1), max_size=3))
def test_a_cut_at_every_byte_of_the_last_line(tmp_path_factory, all_fields, places):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    written = write_all(path, all_fields)
    whole = path.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    # Shares of the line and not bytes: its length differs from run to run, with the time that is written.
    repaired = {start + round(place * (len(whole) - 1 - start)) for place in places} | {start, len(whole) - 1}
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read(path)) == written[:-1]
        assert read_from(path) == (written[:-1], start)
        if cut in repaired:  # not at each: opening and closing sync the disk
            assert_repaired(path, start, written, all_fields)


def test_a_repair_at_every_byte_of_the_last_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    all_fields = [{"a": 1}, {"a": "é\n"}]
    written = write_all(path, all_fields)
    whole = path.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        assert_repaired(path, start, written, all_fields)


def assert_repaired(path, start, written, all_fields):
    with Writer(path, fsync_seconds=60) as writer:
        assert path.stat().st_size == start
        again = writer.write("note", **all_fields[-1])
    assert again["seq"] == written[-1]["seq"]
    assert list(read(path)) == [*written[:-1], again]


def test_a_damaged_but_complete_last_line_is_torn_too(tmp_path):
    path = tmp_path / "journal.jsonl"
    written = write_all(path, [{"a": 1}, {"a": 2}])
    with path.open("ab") as file:
        file.write(b"\0" * 40 + b"\n")
    assert list(read(path)) == written
    with Writer(path) as writer:
        assert writer.write("note")["seq"] == 2
    assert len(list(read(path))) == 3


@pytest.mark.parametrize("damage", [b'{"v":1,"se', b"\0\0\0", b"[1, 2]"])
def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path, damage):
    path = tmp_path / "journal.jsonl"
    write_all(path, [{"a": 1}, {"a": 2}, {"a": 3}])
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], damage, lines[2]]) + b"\n")
    with pytest.raises(JournalError, match=r"journal\.jsonl: line 2 is damaged"):
        list(read(path))
    path.write_bytes(lines[0] + b"\n" + damage + b"\n" + lines[2][:5])
    before = path.read_bytes()
    with pytest.raises(JournalError, match="damaged before its last line"):
        Writer(path)
    assert path.read_bytes() == before


def test_a_missing_line_is_an_error(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_all(path, [{}, {}, {}])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(JournalError, match="line 2 is number 2 where 1 should be"):
        list(read(path))


def test_a_newer_version_is_refused_and_unknown_fields_are_not(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode({"v": 1, "seq": 0, "time": 0, "event": "of_the_future", "field": [1]}))
    assert next(read(path))["field"] == [1]
    path.write_bytes(encode({"v": 2, "seq": 0, "time": 0, "event": "measured"}))
    with pytest.raises(JournalError, match="version 2"):
        list(read(path))
    with pytest.raises(JournalError, match="newer RayNAS"):
        Writer(path)


def test_not_finite_numbers_are_strict_json_and_come_back():
    event = {"seq": 0, "event": "measured", "metrics": {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1}}
    event |= {"seconds": math.inf, "name": "nan"}
    line = encode(event)
    json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    back = decode(line)
    assert math.isnan(back["metrics"]["a"])
    assert (back["metrics"]["b"], back["metrics"]["c"], back["metrics"]["d"]) == (math.inf, -math.inf, 1)
    assert back["seconds"] == math.inf
    assert back["name"] == "nan"


def test_text_that_is_not_unicode_does_not_end_a_search():
    event = {"seq": 0, "event": "trial_ended", "error": {"message": "no file caf\udce9 \u2028 \n"}}
    line = encode(event)
    assert line.count(b"\n") == 1
    assert decode(line) == event


def test_following_a_journal_that_grows(tmp_path):
    path = tmp_path / "journal.jsonl"
    got, offset = [], 0
    with Writer(path) as writer:
        for count in range(5):
            for _ in range(count):
                writer.write("note", count=count)
            events, offset = read_from(path, offset)
            assert [event["count"] for event in events] == [count] * count
            got += events
        with path.open("ab") as file:  # half a line, as a reader may see it
            file.write(b'{"v":1')
        assert read_from(path, offset) == ([], offset)
    assert got == list(read(path))
    with pytest.raises(JournalError, match="read it again from 0"):
        read_from(path, offset + 1000)


def test_a_line_that_does_not_fit_is_taken_back(tmp_path):
    path = tmp_path / "journal.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Writer(path, fsync_seconds=60) as writer:
        first = writer.write("note", a=1)
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 7, limits[1]))  # the kernel takes 7 bytes of the next line
        try:
            with pytest.raises(JournalError, match="make room"):
                writer.write("note", a=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.stat().st_size == size
        second = writer.write("note", a=3)
    assert list(read(path)) == [first, second]
    assert second["seq"] == 1


def test_kill_9_loses_nothing_that_was_written(tmp_path):
    path = tmp_path / "journal.jsonl"
    code = (
        "import sys\nfrom raynas.journal import Writer\nwriter = Writer(sys.argv[1])\n"
        "while True: print(writer.write('note', text='x' * 3000)['seq'], flush=True)"
    )
    reported = -1
    for _ in range(3):
        command = [sys.executable, "-c", code, str(path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            for line in itertools.islice(process.stdout, 200):
                assert int(line) == reported + 1
                reported += 1
            process.kill()
            rest = process.stdout.read()
        reported = max([reported, *(int(word) for word in rest.split("\n")[:-1])])
        kept = [event["seq"] for event in read(path)]
        assert kept == list(range(len(kept)))
        assert len(kept) in (reported + 1, reported + 2)  # one more may be written and not yet reported
        reported = len(kept) - 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_space_says_so(tmp_path):
    with Writer(tmp_path / "journal.jsonl", fsync_seconds=60) as writer:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._fd)  # the descriptor now leads to a device without room
        os.close(full)
        with pytest.raises(JournalError, match="No space left on device"):
            writer.write("note")
        writer._dirty = False  # nothing to sync on that device


def test_several_threads_write_whole_lines(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Writer(path, fsync_seconds=0.01) as writer:
        threads = [
            threading.Thread(target=lambda: [writer.write("note", text="x" * 500) for _ in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event["seq"] for event in read(path)] == list(range(200))


def test_an_event_without_its_fields_is_a_defect(tmp_path):
    with Writer(tmp_path / "journal.jsonl") as writer:
        with pytest.raises(ValueError, match="attempt"):
            writer.write("trial_started", trial=1, session=0)
        with pytest.raises(ValueError, match="seq"):
            writer.write("note", seq=1)
    with pytest.raises(JournalError, match="closed"):
        writer.write("note")


def test_errors_of_the_file_system_are_one_line(tmp_path):
    with pytest.raises(JournalError, match="cannot be read"):
        list(read(tmp_path / "none.jsonl"))
    with pytest.raises(JournalError, match="cannot be opened"):
        Writer(tmp_path / "no_folder" / "journal.jsonl")


def test_the_contract_page_lists_every_field_and_no_other():
    text = DOCS.read_text()
    sections = re.split(r"^### `(\w+)`$", text.split("## Events")[1].split("## Derived")[0], flags=re.MULTILINE)
    documented = {
        name: tuple(re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE))
        for name, body in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert documented == {name: fields + OPTIONAL.get(name, ()) for name, fields in FIELDS.items()}


def test_the_contract_page_lists_every_reason_and_no_other():
    rows = re.findall(r"^\| `reason` \|.*$", DOCS.read_text(), flags=re.MULTILINE)
    trial, session = (set(re.findall(r'`"(\w+)"`', row)) for row in rows)
    assert trial == {*STATE_OF_STOP, *get_args(FailureReason)}
    assert session == set(get_args(SessionEnd))
