"""Run by run.sh in the gdb that holds parked.cpp: makes memory corrupt, one word at a time, and looks at what the commands say."""

import struct

import gdb

UNREADABLE = "<unreadable>"
failures = []


def said(command):
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as error:
        return str(error)


def with_word(what, address, value, expected):
    """Every command answers, and the tree shows what is wrong."""
    inferior = gdb.selected_inferior()
    before = bytes(inferior.read_memory(address, 8))
    inferior.write_memory(address, struct.pack("<Q", value))
    try:
        for command in ("belay tasks -all", "belay workers", "belay guardrails", "belay bt %d" % waiter.id):
            text = said(command)
            if "Traceback" in text or "cannot be shown" in text:
                failures.append("%s: %s: %s" % (what, command, text))
            if command.startswith("belay tasks") and expected not in text:
                failures.append("%s: %s does not say %s:\n%s" % (what, command, expected, text))
    finally:
        inferior.write_memory(address, before)


# The classes of belay.py, which was sourced before.
session = Session()  # noqa: F821
cafe = session.runtimes()[0]
nodes = list(all_nodes(cafe.tree()))  # noqa: F821
waiter = next(n for n in nodes if n.name == "waiter")
crowd = [n for n in nodes if n.kind == "waits for event.wait" and not n.role]
record = session.shape("record").members
child = session.shape("child").members
promise = session.shape("promise").members
wild = 0x10

whole = said("belay tasks -all")
with_word("a list of tasks that runs in a circle", crowd[0].address + child["next"][0], crowd[0].address, "its list of tasks is corrupt")
with_word("a list of tasks that leads nowhere", crowd[0].address + child["next"][0], wild, "some of its tasks are " + UNREADABLE)
with_word("a name that is not there", waiter.address + record["name"][0], wild, '"%s"' % UNREADABLE)
with_word("a frame that is not there", waiter.address + record["leaf"][0], wild, "waits for channel.recv at " + UNREADABLE)
with_word("an operation that is not there", waiter.address + record["slot"][0], wild, "waits for " + UNREADABLE)
with_word("an operation without a class", waiter.operation, 0, "waits for " + UNREADABLE)
with_word("frames that await each other", waiter.leaf + promise["parent"][0], waiter.leaf, '"waiter" waits for channel.recv')
with_word("a place that is not there", waiter.leaf + promise["site"][0], wild, "waits for channel.recv at " + UNREADABLE)
with_word("a scope that is not there", cafe.core.address_of("root"), wild, "scope " + UNREADABLE)
if said("belay tasks -all") != whole:
    failures.append("what was repaired is not shown as before")

for failure in failures:
    print("corrupt.py: " + failure)
print("corrupt.py: %s" % ("FAILED" if failures else "passed"))
