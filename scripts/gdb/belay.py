"""gdb commands for programs that use belay.

    (gdb) source <prefix>/share/belay/gdb/belay.py
    (gdb) belay tasks [PATTERN]     every task as a tree of scopes: its state, where it waits, where it was spawned
    (gdb) belay bt [N]              the async stack of task N, or of the one that the selected thread runs
    (gdb) belay workers             what each worker does, and its queues
    (gdb) belay guardrails          policies, and what the guardrails have found

They read memory and call nothing in the program: they work on a core file, and wherever the threads stand. Where members lie is asked
of the debug information once; what is in them is then read from raw memory, which needs no pretty-printers and is fast enough for
many thousands of tasks. See docs/debugging.md.
"""

import re
import struct

import gdb

MOST = 1 << 20  # elements of a list: a longer one is corrupt
MOST_FRAMES = 4096
SCAN_BYTES = 1 << 18  # how far from its beginning a group's branches are looked for, and a kilobyte more for each
MOST_SCAN_BYTES = 1 << 26  # in all
UNREADABLE = "<unreadable>"

# What an operation is called: the class that defines its what() (without belay:: and template arguments), and what that returns.
# scripts/check-docs holds this table against the code.
WORDS = {
    "send_awaiter": "channel.send",
    "reserve_awaiter": "channel.reserve",
    "recv_awaiter": "channel.recv",
    "mutex_awaiter": "mutex.lock",
    "semaphore_awaiter": "semaphore.acquire",
    "event_awaiter": "event.wait",
    "scope": "scope",
    "detail::sleep_awaiter": "sleep",
    "detail::selection": "select",
    "detail::join_operation": "join",
    "detail::scope_room": "scope.spawn_when_free",
    "detail::start_operation": "scope.start",
    "detail::strand_job": "strand.run",
    "detail::foreign_operation": "foreign awaitable",
    "detail::when_all_awaiter": "when_all",
    "detail::race": "when_any",
    "detail::shield_group": "shield",
    "detail::caught": "awaited work",
    "io::detail::recv_awaiter": "tcp.read",
    "io::detail::send_awaiter": "tcp.write",
    "io::detail::send_datagram_awaiter": "udp.send",
    "io::detail::receive_datagram_awaiter": "udp.receive",
    "io::detail::pipe_read_awaiter": "pipe.read",
    "io::detail::pipe_write_awaiter": "pipe.write",
    "io::detail::file_read_awaiter": "file.read",
    "io::detail::file_write_awaiter": "file.write",
    "io::detail::signal_awaiter": "signal",
    "io::connect_awaiter": "tcp.connect",
    "io::accept_awaiter": "tcp.accept",
    "io::lookup_awaiter": "resolve",
}
# Those that have their branches inside of them, or in an array.
BRANCHED = {"detail::when_all_awaiter", "detail::race", "detail::shield_group", "detail::caught"}
ONE_BRANCH = {"detail::shield_group", "detail::caught"}  # whose count has more in it, or does not go down
VTABLE_ENTRIES = 8  # among which an operation's what() is looked for


class Trouble(Exception):
    """What keeps a command from working, in words for the user."""


class Unreadable(Exception):
    """Memory that is not there, or does not hold what it should."""


# ---- memory and layouts ----------------------------------------------------------------------------------------------


class Memory:
    """The program's memory, read by pages. What is not there is Unreadable."""

    PAGE = 4096

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        self.pages = {}

    def read(self, address, size):
        start = address - address % self.PAGE
        if address + size <= start + self.PAGE:
            if start not in self.pages:
                try:
                    self.pages[start] = self.exactly(start, self.PAGE)
                except Unreadable:  # a section of the executable may end inside it
                    self.pages[start] = None
            page = self.pages[start]
            if page is not None:
                return page[address - start:address - start + size]
        return self.exactly(address, size)

    def exactly(self, address, size):
        if address < self.PAGE or size > 1 << 28:
            raise Unreadable()
        try:
            return bytes(self.inferior.read_memory(address, size))
        except (gdb.error, OverflowError, ValueError):
            raise Unreadable() from None

    def word(self, address):
        return struct.unpack("<Q", self.read(address, 8))[0]

    def text(self, address, most=300):
        """The zero-terminated text at an address."""
        found = b""
        while len(found) < most:
            at = address + len(found)
            step = min(64, most - len(found), self.PAGE - at % self.PAGE)
            piece = None
            while piece is None:
                try:
                    piece = self.read(at, step)
                except Unreadable:
                    if step == 1:
                        raise
                    step = 1
            end = piece.find(0)
            found += piece if end < 0 else piece[:end]
            if end >= 0:
                break
        return printable(found)

    def sized_text(self, address, size):
        return printable(self.read(address, min(size, 300))) if size else ""

    def std_string(self, address):
        data, size = struct.unpack("<QQ", self.read(address, 16))
        return self.sized_text(data, size)

    def string_view(self, address):
        size, data = struct.unpack("<QQ", self.read(address, 16))
        return self.sized_text(data, size)


def printable(data):
    return "".join(c if c.isprintable() else "?" for c in data.decode("utf-8", "replace"))


class Types:
    """Where members lie, according to the debug information."""

    def __init__(self):
        self.found = {}
        self.members = {}
        self.enumerations = {}

    def get(self, name):
        if name not in self.found:
            try:
                self.found[name] = gdb.lookup_type(name).strip_typedefs()
                complete = bool(self.found[name].fields())
            except (gdb.error, TypeError):
                complete = False
            if not complete:
                self.found.pop(name, None)
                raise Trouble("no debug information for %s: build belay with -g" % name)
        return self.found[name]

    def member(self, name, path):
        """Offset and type of a member, also of one of a base class, or of a member's member: "options_.name"."""
        if (name, path) not in self.members:
            self.members[name, path] = self.find_member(name, path)
        return self.members[name, path]

    def find_member(self, name, path):
        kind = self.get(name)
        offset = 0
        for part in path.split("."):
            found = member_of(kind, part)
            if found is None:
                raise Trouble("%s has no member %s: this belay.py is for another version of belay" % (name, path))
            offset += found[0]
            kind = found[1].strip_typedefs()
        return offset, kind

    def offset(self, name, path):
        return self.member(name, path)[0]

    def enumerator(self, name, value):
        """The name of a value of an enumeration."""
        if name not in self.enumerations:
            self.enumerations[name] = {f.enumval: f.name.rsplit("::", 1)[-1] for f in self.get(name).fields()}
        return self.enumerations[name].get(value, str(value))


def member_of(kind, name):
    try:
        fields = [f for f in kind.fields() if hasattr(f, "bitpos")]
    except TypeError:
        return None
    for field in fields:
        if field.name == name and not field.is_base_class:
            return field.bitpos // 8, field.type
    for field in fields:
        if field.is_base_class or not field.name:
            found = member_of(field.type.strip_typedefs(), name)
            if found is not None:
                return field.bitpos // 8 + found[0], found[1]
    return None


class Shape:
    """Some members of a class, to be read from raw memory: a pointer or an atomic is what it holds. The code of an array is *Q."""

    def __init__(self, types, name, members):
        self.size = types.get(name).sizeof
        self.members = {}
        for key, (path, code) in members.items():
            offset, kind = types.member(name, path)
            if code.startswith("*"):
                code = "%d%s" % (kind.sizeof // struct.calcsize("<" + code[1:]), code[1:])
            self.members[key] = (offset, struct.Struct("<" + code))

    def read(self, memory, address):
        return View(self, memory.read(address, self.size), address)


class View:
    def __init__(self, shape, data, address):
        self._shape = shape
        self._data = data
        self.address = address

    def __getattr__(self, key):
        return self.all(key)[0]

    def all(self, key):
        """Of an array."""
        offset, code = self._shape.members[key]
        return code.unpack_from(self._data, offset)

    def address_of(self, key):
        return self.address + self._shape.members[key][0]


# ---- names -----------------------------------------------------------------------------------------------------------


def without_brackets(name):
    """Without template arguments and parameter lists: std::vector<int>::at(int) -> std::vector::at."""
    out = []
    closing = []
    for i, c in enumerate(name):
        if c in "<(" and not (c == "<" and name.endswith("operator", 0, i)):
            closing.append(">" if c == "<" else ")")
        elif closing and c == closing[-1] and not (c == ">" and name[i - 1] == "-"):
            closing.pop()
        elif not closing:
            out.append(c)
    return "".join(out)


def function_text(name):
    """The name of a coroutine, as short as it can be told by: its place is written beside it."""
    for noise in ("(anonymous namespace)::", "{anonymous}::", "(anonymous)::", "[abi:cxx11]"):
        name = name.replace(noise, "")
    name = name.replace("(anonymous class)", "$_0")
    name = re.sub(r" ?\[(clone|with) [^]]*\]| \[.* = .*\]$", "", name)
    name = re.sub(r"( const| &| &&)+(?=::|$)", "", without_brackets(name))
    name = re.sub(r"(\{lambda[^}]*\}|<lambda>|\$_\d+|'lambda\d*')::operator", "lambda", name)
    return name.rsplit(" ", 1)[-1] or "?"


def class_text(name):
    return without_brackets(name.replace("(anonymous namespace)::", "")).replace("belay::", "", 1)


def short_path(path):
    return "/".join(path.rsplit("/", 2)[-2:])


def counted(n, one, many=None):
    return "%s %s" % (format(n, ","), one if n == 1 else many or one + "s")


class Site:
    """A std::source_location."""

    def __init__(self, file, line, function):
        self.file, self.line, self.function = file, line, function
        self.ours = None

    def __str__(self):
        return "%s:%d" % (self.file, self.line) if self.line else "an unknown place"

    def short(self):
        return "%s:%d" % (short_path(self.file), self.line) if self.line else "an unknown place"

    def is_ours(self):
        """In a coroutine of belay's."""
        if self.ours is None:
            self.ours = function_text(self.function).startswith("belay::")
        return self.ours


class NoSite(Site):
    def __init__(self, text):
        super().__init__(text, 0, "")

    def __str__(self):
        return self.file

    short = __str__


# ---- tasks -----------------------------------------------------------------------------------------------------------


class Group:
    """What a task waits for when it waits for other tasks: a scope with its children, or the branches of a when_all."""

    def __init__(self, name, owner):
        self.name, self.owner = name, owner
        self.title = name
        self.nodes = []
        self.note = ""


class Node:
    """One task record: a task, a branch of one, or the body of a scope."""

    def __init__(self, address, group, role):
        self.address, self.group, self.role = address, group, role
        self.groups = []
        self.id = 0
        self.name = ""
        self.state = UNREADABLE
        self.kind = UNREADABLE  # the state without what tells one task from another
        self.running = None  # the worker
        self.where = None
        self.spawned = None
        self.extra = ""
        self.leaf = 0
        self.operation = 0

    def label(self):
        return "task %d%s" % (self.id, ' "%s"' % self.name if self.name else "")

    def line(self):
        text = "%d%s" % (self.id, ' "%s"' % self.name if self.name else "")
        if self.role:
            text += " (%s)" % self.role
        text += " " + self.state
        if self.where is not None:
            text += " %s %s" % ("since" if self.running is not None else "at", self.where.short())
        if self.spawned is not None and not self.role:
            text += ", spawned at " + self.spawned.short()
        return text + self.extra

    def likeness(self):
        return (self.name, self.role, self.kind, self.where and str(self.where), self.spawned and str(self.spawned), self.extra)


class Session:
    """One command's look at the program."""

    def __init__(self):
        if not gdb.selected_inferior().threads():
            raise Trouble("there is no process and no core file to look at")
        if any(t.is_running() for t in gdb.selected_inferior().threads() if t.is_valid()):
            raise Trouble("the program is running: stop it first")
        if gdb.lookup_type("char").pointer().sizeof != 8:
            raise Trouble("only 64-bit programs can be read")
        self.memory = Memory()
        self.types = Types()
        self.symbols = {}
        self.classes = {}
        self.sites = {}
        self.shapes = {}

    # -- what is asked of gdb

    def symbol(self, address):
        """The name of the function or the vtable that stands at an address, or None."""
        if address not in self.symbols:
            try:
                said = gdb.execute("info symbol 0x%x" % address, to_string=True)
            except gdb.error:
                said = ""
            found = re.match(r"(.*?)(?: \+ \d+)? in section ", said)
            self.symbols[address] = found.group(1) if found else None
        return self.symbols[address]

    def global_addresses(self, name):
        """Where a variable lies, in the program and in each library that has one of its own."""
        found = []
        for objfile in gdb.objfiles():
            try:
                symbol = objfile.lookup_global_symbol(name) or objfile.lookup_static_symbol(name)
                if symbol is not None and symbol.value().address is not None:
                    found.append(int(symbol.value().address))
            except (gdb.error, AttributeError, TypeError):
                pass
        if not found:
            try:
                found.append(int(gdb.parse_and_eval("(long)&'%s'" % name)))
            except gdb.error:
                pass
        return list(dict.fromkeys(found))

    def shape(self, key):
        if key not in self.shapes:
            name, members = SHAPES[key]
            self.shapes[key] = Shape(self.types, name, {k: v if isinstance(v, tuple) else (k, v) for k, v in members.items()})
        return self.shapes[key]

    def view(self, key, address):
        return self.shape(key).read(self.memory, address)

    def threads(self):
        return {t.ptid[1] or t.ptid[2]: t for t in gdb.selected_inferior().threads() if t.is_valid()}

    # -- runtimes

    def runtimes(self):
        places = self.global_addresses("belay::detail::runtime_places")
        if not places:
            raise Trouble("no belay in this program, or one that is older than this script, or a program without symbols")
        found = []
        for head in places:
            seen = set()
            at = self.memory.word(head)
            while at and at not in seen and len(seen) < MOST:
                seen.add(at)
                place = self.view("place", at)
                if place.runtime:
                    found.append(Runtime(self, place.runtime))
                at = place.next
        found.reverse()  # oldest first
        if not found:
            raise Trouble("no runtime is alive")
        return found

    # -- what records refer to

    def site(self, impl):
        if impl not in self.sites:
            self.sites[impl] = self.read_site(impl)
        return self.sites[impl]

    def read_site(self, impl):
        if impl == 0:
            return NoSite("an unknown place")
        try:
            file, function, line, _ = struct.unpack("<QQII", self.memory.read(impl, 24))
            return Site(self.memory.text(file), line, self.memory.text(function) if function else "")
        except Unreadable:
            return NoSite(UNREADABLE)

    def class_of(self, operation):
        """The class that names an operation: found through the entry of what() in its vtable."""
        vtable = self.memory.word(operation)
        if vtable not in self.classes:
            self.classes[vtable] = self.find_class(vtable)
        return self.classes[vtable]

    def find_class(self, vtable):
        for entry in struct.unpack("<%dQ" % VTABLE_ENTRIES, self.memory.read(vtable, 8 * VTABLE_ENTRIES)):
            found = re.match(r"(.+)::what\(\) const$", self.symbol(entry) or "")
            if found:
                return found.group(1)
        table = self.symbol(vtable) or ""
        return table[len("vtable for "):] if table.startswith("vtable for ") else ""

    def what(self, operation):
        """As its what() would say it."""
        name = self.class_of(operation)
        key = class_text(name)
        try:
            return self.word_for(operation, name, key)
        except Trouble:
            return key

    def word_for(self, operation, name, key):
        if key == "io::detail::vectored_awaiter":
            return "tcp.write" if re.search(r"\)1>|write>", name) else "tcp.read"
        if key == "detail::io_operation":
            offset = self.types.offset("belay::detail::io_operation", "request.opcode")
            return self.types.enumerator("belay::io_opcode", self.memory.read(operation + offset, 1)[0])
        if key == "detail::blocking_operation":
            pool = self.memory.word(operation + self.types.offset("belay::detail::blocking_operation", "pool_"))
            if not pool:
                return "spawn_blocking"
            return self.memory.text(self.memory.word(pool + self.types.offset("belay::detail::blocking_core", "kind_.what")))
        return WORDS.get(key) or key or "an operation of an unknown class"

    def frames(self, leaf):
        """(promise, where it awaits) of each coroutine frame, innermost first."""
        seen = set()
        while leaf and leaf not in seen and len(seen) < MOST_FRAMES:
            seen.add(leaf)
            try:
                promise = self.view("promise", leaf)
            except Unreadable:
                yield leaf, NoSite(UNREADABLE)
                return
            yield leaf, self.site(promise.site)
            leaf = promise.parent

    def coroutine_name(self, promise, site):
        """A frame begins with the functions that resume and destroy it, and the promise follows."""
        for slot in (promise - 16, promise - 8):  # the first is null in a frame that has ended
            try:
                name = self.symbol(self.memory.word(slot))
            except Unreadable:
                break
            if name:
                composite = re.search(r"io_composite<(?:belay::)?(?:io::detail::)?(\w+)", name)
                return composite.group(1) if composite else function_text(name)
        return function_text(site.function) if site.function else "?"


# Members that commands read: a name and a struct code, or (path, code).
SHAPES = {
    "place": ("belay::detail::runtime_place", {"runtime": "Q", "next": "Q"}),
    "core": ("belay::detail::runtime_core", {
        "how": "B", "name": "Q", "regular_workers": "I", "workers": ("workers.all_", "Q"), "worker_count": ("workers.size_", "Q"),
        "watcher": "Q", "root": "Q", "driven": ("driven_", "B"), "idle": ("idle_.words_", "*Q"), "inject_head": ("inject_head_", "Q"),
        "injected": ("injected_count_", "Q"), "stopping": ("stopping_", "B"), "process": ("process_", "i")}),
    "worker": ("belay::detail::worker", {
        "index": ("index_", "I"), "epoch": ("epoch_", "Q"), "current": ("current_", "Q"), "lifo": ("lifo_", "Q"), "tid": "i",
        "fork": ("fork_", "Q"), "wake": ("wake_", "Q"), "pinned": "Q", "on_duty": ("on_duty_", "B"), "resting": ("resting_", "B"),
        "ended": "B", "abandoned": "B", "polls": ("counters.polls", "Q")}),
    "queue": ("belay::detail::work_queue<belay::detail::record>", {"top": ("top_", "q"), "bottom": ("bottom_", "q"),
                                                                  "ring": ("ring_", "Q")}),
    "ring": ("belay::detail::work_queue<belay::detail::record>::ring", {"mask": ("mask_", "Q"), "cells": ("cells_", "Q")}),
    "pinned": ("belay::detail::pinned_queue", {"head": ("head_", "Q"), "inbox": ("inbox_", "Q"), "pushed": ("pushed_", "Q"),
                                                 "popped": ("popped_", "Q")}),
    "record": ("belay::detail::record", {
        "slot": "Q", "next": "Q", "leaf": "Q", "id": "Q", "name": "Q", "home": "H", "own_stop": ("own_stop_", "B"),
        "node": ("node_", "Q"), "core": ("core_", "Q"), "spawned": ("spawn_site_", "Q")}),
    "child": ("belay::detail::child_record", {"next": ("next_sibling_", "Q")}),
    "promise": ("belay::detail::promise_base", {"parent": "Q", "rec": "Q", "site": "Q"}),
    "scope": ("belay::scope", {
        "reason": ("node.reason", "B"), "name": ("options_.name", "Q"), "most": ("options_.max_tasks", "Q"),
        "on_error": ("options_.on_error", "B"), "pending": ("pending_", "Q"), "first": ("first_.head", "Q"),
        "shards": ("shards_", "Q"), "body": ("body_", "Q")}),
    "shard": ("belay::scope::shard", {"head": "Q"}),
    "stop_node": ("belay::detail::stop_node", {"reason": "B"}),
    "observer": ("belay::detail::guardrail_observer", {
        "rules": ("policy_.rules", "Q"), "about": ("about_._M_ptr", "Q")}),
    "about": ("belay::detail::guardrail_observer::about", {
        "reports": ("counters.reports", "*Q"), "stalls": ("counters.stalls", "*Q"), "suppressed": ("counters.suppressed", "Q")}),
    "rule": ("belay::guardrails::rule", {"then": "B", "threshold": "q"}),
    "reporter": ("belay::detail::reporter", {
        "reports": ("all_.reports", "*Q"), "stalls": ("all_.stalls", "*Q"), "suppressed": ("all_.suppressed", "Q"),
        "places": ("throttle_.places_", "Q")}),
    "seen": ("belay::detail::report_throttle::place", {"key": "Q", "seen": "Q"}),
}

BODY_UNIT = 1 << 32
CHILDREN = BODY_UNIT - 1
HOSTED = 1


class Runtime:
    def __init__(self, session, address):
        self.session = session
        self.memory = session.memory
        self.address = address
        self.core = session.view("core", address)
        try:
            self.name = self.memory.std_string(self.core.address_of("name"))
        except Unreadable:
            self.name = UNREADABLE
        self.workers = []
        self.problem = ""
        for i in range(min(self.core.worker_count, 1024)):
            try:
                self.workers.append(session.view("worker", self.memory.word(self.core.workers + 8 * i)))
            except Unreadable:
                self.problem = ", of which some are " + UNREADABLE
        self.current = {w.current: w.index for w in self.workers if w.current}
        self.queued = None

    def title(self):
        kind = "local_runtime" if self.core.how == HOSTED else "runtime"
        text = '%s "%s": ' % (kind, self.name)
        if self.core.how == HOSTED:
            text += "driven by a thread right now" if self.core.driven else "nobody drives it"
        else:
            text += counted(len(self.workers), "worker") + self.problem
        if self.core.stopping:
            text += ", has shut down"
        if self.core.process != gdb.selected_inferior().pid:
            text += ", made in process %d" % self.core.process
        return text

    def is_idle(self, index):
        words = self.core.all("idle")
        return index // 64 < len(words) and bool(words[index // 64] >> (index % 64) & 1)

    # -- queues

    def lane(self, worker, key):
        """The records in a worker's lane."""
        queue = self.session.view("queue", worker.address_of(key))
        size = queue.bottom - queue.top
        if size <= 0:
            return []
        ring = self.session.view("ring", queue.ring)
        if size > min(ring.mask + 1, MOST):
            raise Unreadable()
        cells = self.memory.read(ring.cells, 8 * (ring.mask + 1))
        return [struct.unpack_from("<Q", cells, 8 * (i & ring.mask))[0] for i in range(queue.top, queue.bottom)]

    def chain(self, head):
        found = []
        seen = set()
        while head and head not in seen and len(found) < MOST:
            seen.add(head)
            found.append(head)
            head = self.session.view("record", head).next
        return found

    def find_queued(self):
        """In whose queue each ready record is."""
        self.queued = {}

        def add(where, read):
            try:
                for record in read():
                    self.queued.setdefault(record, where)
            except (Unreadable, Trouble):
                pass

        for w in self.workers:
            place = "queued at worker %d" % w.index
            pinned = self.pinned(w)
            add(place, lambda w=w: [w.lifo] if w.lifo else [])
            add(place, lambda w=w: self.lane(w, "fork"))
            add(place, lambda w=w: self.lane(w, "wake"))
            if pinned is not None:
                add(place, lambda p=pinned: self.chain(p.head))
                add(place, lambda p=pinned: self.chain(p.inbox))
        add("in the injection queue", lambda: self.chain(self.core.inject_head))

    def pinned(self, worker):
        try:
            return self.session.view("pinned", worker.address_of("pinned"))
        except (Unreadable, Trouble):
            return None

    # -- the tree of tasks

    def tree(self):
        """The root scope. Iterative: scopes may be nested as deeply as one likes."""
        self.find_queued()
        self.visited = set()
        self.scanned = 0
        root = self.scope_group(self.core.root, None)
        todo = list(root.nodes)
        while todo:
            node = todo.pop()
            try:
                self.describe(node)
            except Unreadable:
                pass
            for group in node.groups:
                todo.extend(group.nodes)
        return root

    def describe(self, node):
        session = self.session
        record = session.view("record", node.address)
        node.id, node.leaf = record.id, record.leaf
        if record.name:
            try:
                node.name = self.memory.text(record.name, 80)
            except Unreadable:
                node.name = UNREADABLE
        node.spawned = session.site(record.spawned)
        node.where = self.where(node)
        if record.home:
            node.extra += ", pinned to worker %d" % (record.home - 1)
        node.extra += self.stop_text(record)
        word = record.slot & ~3
        if word > 4:
            node.operation = word
            try:
                node.state = node.kind = "waits for " + session.what(word)
                self.add_groups(node, word)
            except Unreadable:
                node.state = node.kind = "waits for " + UNREADABLE
            return
        if word == 0 and node.address in self.current:
            node.running = self.current[node.address]
            node.state = node.kind = "runs on worker %d" % node.running
            return
        node.kind = "is ready" if record.leaf else "has not started"
        queue = self.queued.get(node.address)
        node.state = node.kind + (", " + queue if queue else "")

    def where(self, node):
        """The innermost await that is not in belay's own code; of a branch that has no other, where its group is awaited."""
        innermost = None
        for _, site in self.session.frames(node.leaf):
            innermost = innermost or site
            if not site.is_ours():
                return site
        if node.group.owner is not None and node.group.owner.where is not None:
            return node.group.owner.where
        return innermost

    def stop_text(self, record):
        if record.own_stop:
            return ", was asked to stop"
        try:
            reason = self.session.view("stop_node", record.node).reason
        except Unreadable:
            return ""
        if reason == 0:
            return ""
        return ", was asked to stop (%s)" % self.session.types.enumerator("belay::stop_reason", reason)

    def add_groups(self, node, operation):
        name = class_text(self.session.class_of(operation))
        try:
            if name == "scope":
                node.groups.append(self.scope_group(operation, node))
            elif name in BRANCHED:
                node.groups.append(self.branch_group(operation, node, name in ONE_BRANCH))
        except Trouble as trouble:  # only the program's own code has the types of its branches
            node.extra += " (%s)" % trouble

    def scope_group(self, address, owner):
        try:
            scope = self.session.view("scope", address)
            group = Group('scope "%s"' % self.memory.string_view(scope.address_of("name")), owner)
        except Unreadable:
            return Group("scope " + UNREADABLE, owner)
        group.title += ": " + counted(scope.pending & CHILDREN, "task")
        if owner is not None and scope.most < 1_000_000:
            group.title += " of at most %s" % format(scope.most, ",")
        if scope.on_error and owner is not None:
            group.title += ", on_error::" + self.session.types.enumerator("belay::on_error", scope.on_error)
        if scope.reason:
            group.title += ", stopped (%s)" % self.session.types.enumerator("belay::stop_reason", scope.reason)
        if owner is not None and scope.pending & BODY_UNIT and scope.body:
            self.add_node(group, scope.body, "body")
        shards = [scope.first]
        if scope.shards:
            size = self.session.shape("shard").size
            for i in range(min(self.core.regular_workers, 1024) - 1):
                try:
                    shards.append(self.session.view("shard", scope.shards + i * size).head)
                except Unreadable:
                    group.note = "a part of it is " + UNREADABLE
        for head in shards:
            while head:
                try:
                    if self.memory.word(head + self.session.types.offset("belay::detail::record", "core_")) != self.address:
                        raise Unreadable()
                    if not self.add_node(group, head, ""):
                        group.note = "its list of tasks is corrupt" if head in self.visited else "further tasks are not shown"
                        break
                    head = self.session.view("child", head).next
                except Unreadable:
                    group.note = "some of its tasks are " + UNREADABLE
                    break
        return group

    def add_node(self, group, address, role):
        if address in self.visited or len(self.visited) >= MOST:
            return False
        self.visited.add(address)
        group.nodes.append(Node(address, group, role))
        return True

    def branch_group(self, operation, owner, has_one):
        """Branches lie inside the operation, which is a template: they are found by what they refer to, the group's stop node and
        the runtime, behind the vtable of a branch."""
        session = self.session
        group = Group(owner.state[len("waits for "):], owner)
        pending = self.memory.word(operation + session.types.offset("belay::detail::branch_group", "pending_"))
        pending = min(pending, 1) if has_one else pending
        group.title += ": " + counted(pending, "branch", "branches")
        begin = operation
        if (session.symbol(self.memory.word(operation)) or "").startswith("vtable for belay::detail::when_any_range_awaiter"):
            begin = self.memory.word(operation + session.types.get("belay::detail::race").sizeof)
        found = self.find_branches(begin, operation + session.types.offset("belay::detail::group", "node"), pending)
        for address in found:
            self.add_node(group, address, "branch")
        if len(found) < pending:
            group.note = "%s of them could not be found" % format(pending - len(found), ",")
        return group

    def find_branches(self, begin, stop_node, wanted):
        session = self.session
        node_offset = session.types.offset("belay::detail::record", "node_")
        sought = struct.pack("<Q", stop_node)
        found = []
        size = session.shape("record").size
        limit = SCAN_BYTES + 1024 * wanted
        at = begin
        while at < begin + limit and len(found) < wanted and self.scanned < MOST_SCAN_BYTES:
            step = Memory.PAGE - at % Memory.PAGE
            self.scanned += step
            try:
                data = self.memory.exactly(at, step)
            except Unreadable:
                break
            place = data.find(sought)
            while place >= 0 and len(found) < wanted:
                if (at + place) % 8 == 0 and at + place - node_offset >= begin:
                    candidate = at + place - node_offset
                    try:
                        record = session.view("record", candidate)
                        table = session.symbol(self.memory.word(candidate)) or ""
                        # Behind the record stands its task, which is emptied when the branch has ended.
                        if (record.core == self.address and table.startswith("vtable for belay::detail::branch<")
                                and self.memory.word(candidate + size)):
                            found.append(candidate)
                    except Unreadable:
                        pass
                place = data.find(sought, place + 1)
            at += step
        return found


# ---- belay tasks -----------------------------------------------------------------------------------------------------


def all_nodes(root):
    todo = [root]
    while todo:
        group = todo.pop()
        for node in group.nodes:
            yield node
            todo.extend(node.groups)


class TaskPrinter:
    ALIKE_SHOWN = 3

    def __init__(self, pattern, limit, fold):
        self.limit, self.fold = limit, fold
        self.printed = 0
        self.omitted = 0
        self.matches = None
        if pattern:
            try:
                self.matches = re.compile(pattern, re.IGNORECASE).search
            except re.error:
                self.matches = re.compile(re.escape(pattern), re.IGNORECASE).search

    def write(self, depth, text):
        if self.limit and self.printed >= self.limit:
            self.omitted += 1
            return
        self.printed += 1
        gdb.write("  " * depth + text + "\n")

    def show(self, runtime):
        root = runtime.tree()
        tasks = branches = 0
        states = {}
        for node in all_nodes(root):
            if node.role:
                branches += 1
            else:
                tasks += 1
                states[node.kind] = states.get(node.kind, 0) + 1
        title = runtime.title() + ", " + counted(tasks, "task")
        if branches:
            title += " with " + counted(branches, "branch", "branches")
        gdb.write(title + "\n")
        if tasks:
            ordered = sorted(states.items(), key=lambda s: (-s[1], s[0]))
            gdb.write("  " + ", ".join("%s %s" % (format(n, ","), self.plural(n, state)) for state, n in ordered) + "\n")
        wanted = None
        if self.matches is not None:
            wanted = self.mark(root)
            gdb.write("  matching: %s\n" % format(len(wanted[0]), ","))
            if not wanted[1]:
                return
        self.show_groups([root], wanted)

    @staticmethod
    def plural(n, state):
        if n != 1:
            for one, many in (("waits ", "wait "), ("runs ", "run "), ("is ", "are "), ("has ", "have ")):
                if state.startswith(one):
                    return many + state[len(one):]
        return state

    def mark(self, root):
        """Which nodes match, and which nodes and groups lead to one."""
        hits = set()
        path = set()
        for node in all_nodes(root):
            if not (self.matches(node.line()) or self.matches(node.group.title)):
                continue
            hits.add(node)
            while node is not None and node.group not in path:
                path.add(node)
                path.add(node.group)
                node = node.group.owner
            if node is not None:
                path.add(node)
        return hits, path

    def show_groups(self, groups, wanted):
        todo = [(1, group) for group in reversed(groups)]
        while todo:
            depth, item = todo.pop()
            if isinstance(item, Group):
                self.write(depth, item.title)
                lines = self.lines(item, wanted)
                if item.note:
                    lines.append(item.note)
                todo.extend((depth + 1, line) for line in reversed(lines))
            elif isinstance(item, Node):
                self.write(depth, item.line())
                todo.extend((depth + 1, g) for g in reversed(item.groups) if wanted is None or g in wanted[1])
            else:
                self.write(depth, item)

    def lines(self, group, wanted):
        """Its nodes in their order; of those that are alike only the first few, and how many more there are."""
        nodes = sorted(group.nodes, key=lambda n: (n.role != "body", n.id))
        if wanted is not None:
            nodes = [n for n in nodes if n in wanted[0] or n in wanted[1]]
        if not self.fold:
            return nodes
        alike = {}
        for node in nodes:
            alike.setdefault(node.likeness() if not node.groups else node, []).append(node)
        result = []
        for same in alike.values():
            if len(same) <= self.ALIKE_SHOWN + 1:
                result.extend(same)
            else:
                result.extend(same[:self.ALIKE_SHOWN])
                result.append("... and %s more like it, up to %d" % (format(len(same) - self.ALIKE_SHOWN, ","), same[-1].id))
        return result


# ---- the commands ----------------------------------------------------------------------------------------------------


class BelayCommand(gdb.Command):
    """Tasks, workers and guardrails of a program that uses belay. See "help belay"."""

    def __init__(self, name="belay"):
        super().__init__(name, gdb.COMMAND_USER, gdb.COMPLETE_NONE, name == "belay")

    def invoke(self, argument, from_tty):
        # Names of types are looked up in the current language, which is that of the frame that the program stands in.
        language = gdb.parameter("language")
        try:
            if language != "c++":
                gdb.execute("set language c++", to_string=True)
            self.run(argument.strip())
        except Trouble as trouble:
            raise gdb.GdbError("belay: %s" % trouble) from None
        except Unreadable:
            raise gdb.GdbError("belay: memory that the command needs is %s: is this the program of that core file?" % UNREADABLE) from None
        except KeyboardInterrupt:
            raise gdb.GdbError("belay: interrupted") from None
        except gdb.GdbError:
            raise
        except Exception as error:  # a program that is stopped anywhere, or a core file that is cut: no traceback at the user
            raise gdb.GdbError("belay: this cannot be shown (%s: %s)" % (type(error).__name__, error)) from None
        finally:
            if language != "c++":
                gdb.execute("set language " + language, to_string=True)

    def run(self, argument):
        gdb.execute("help belay")


class TasksCommand(BelayCommand):
    """Every task of every runtime, as a tree of scopes, tasks and branches.
Usage: belay tasks [-all] [-limit N] [PATTERN]

With PATTERN, a regular expression, only those in whose line or scope it is found. Of tasks that are alike
three are shown and the others counted, and at most N lines are written, 500 by default. -all shows everything."""

    def run(self, argument):
        limit, fold = 500, True
        words = argument.split()
        while words and re.match(r"--?(all|limit)$", words[0]):
            option = words.pop(0).lstrip("-")
            if option == "all":
                limit, fold = 0, False
            elif words and words[0].isdigit():
                limit = int(words.pop(0))
            else:
                raise Trouble("-limit needs a number of lines")
        printer = TaskPrinter(" ".join(words), limit, fold)
        for runtime in Session().runtimes():
            printer.show(runtime)
        if printer.omitted:
            gdb.write("... and %s: belay tasks -all\n" % counted(printer.omitted, "more line"))


class BacktraceCommand(BelayCommand):
    """The async stack of a task.
Usage: belay bt [N]

Of task N, or of the one that the selected thread runs: a line for each coroutine, innermost first; where the task
was spawned; and its native stack, if it runs."""

    MOST_BRANCHES = 20

    def run(self, argument):
        session = Session()
        wanted = self.number(argument.lstrip("#"), session)
        found = 0
        for runtime in session.runtimes():
            nodes = [n for n in all_nodes(runtime.tree()) if n.id == wanted and n.state != UNREADABLE]
            if nodes:
                found += 1
                self.show(session, runtime, nodes)
        if not found:
            raise Trouble("there is no task %d: belay tasks lists them" % wanted)

    @staticmethod
    def number(argument, session):
        if argument.isdigit():
            return int(argument)
        if argument:
            raise Trouble("the number of a task is wanted: belay bt 257")
        thread = gdb.selected_thread()
        for runtime in session.runtimes():
            for worker in runtime.workers:
                if thread is not None and worker.current and worker.tid == (thread.ptid[1] or thread.ptid[2]):
                    return session.view("record", worker.current).id
        raise Trouble("the selected thread runs no task: say which, belay bt 257")

    def show(self, session, runtime, nodes):
        task = next((n for n in nodes if not n.role), nodes[0])
        gdb.write('%s of runtime "%s"%s\n' % (task.label(), runtime.name, task.extra))
        outer = {n.group.owner for n in nodes}
        inner = [n for n in nodes if n not in outer]
        explained = set()
        for node in inner[:self.MOST_BRANCHES]:
            self.show_stack(session, node, task, explained)
        if len(inner) > self.MOST_BRANCHES:
            gdb.write("  ... and %s\n" % counted(len(inner) - self.MOST_BRANCHES, "more branch", "more branches"))
        for node in nodes:
            if node.running is not None:
                self.show_native(session, runtime, node.running)

    def show_stack(self, session, node, task, explained):
        """Its frames, then those of the records around it that belong to the same task."""
        gdb.write("  %s%s%s\n" % (node.role + " " if node.role else "", node.state, self.detail(session, node)))
        number = 0
        while True:
            if node in explained:
                gdb.write("    and so on, as above\n")
                return
            explained.add(node)
            frames = list(session.frames(node.leaf))
            if not frames:
                gdb.write("    no frame: it has not started\n")
            for promise, site in frames:
                gdb.write("    #%-3d %-34s %s\n" % (number, session.coroutine_name(promise, site), site))
                number += 1
            if len(frames) == MOST_FRAMES:
                gdb.write("    ... further frames are not shown\n")
            outer = node.group.owner
            if node is task or outer is None or outer.id != task.id:
                break
            gdb.write("    in %s\n" % node.group.name)
            node = outer
        gdb.write("    spawned at %s%s\n" % (node.spawned, self.home(node)))

    @staticmethod
    def home(node):
        outer = node.group.owner
        return ", into %s%s" % (node.group.name, ", which %s awaits" % outer.label() if outer is not None else "")

    @staticmethod
    def detail(session, node):
        """What can be said of what it waits for."""
        try:
            if node.kind == "waits for join":
                child = session.memory.word(node.operation + session.types.offset("belay::detail::join_operation", "child_"))
                return " of task %d" % session.view("record", child).id
            name = class_text(session.class_of(node.operation)) if node.operation else ""
            if name.startswith("io::") and name != "io::lookup_awaiter" or name == "detail::io_operation":
                offset = session.types.offset("belay::detail::io_operation", "request.fd")
                return ", fd %d" % struct.unpack("<i", session.memory.read(node.operation + offset, 4))
        except (Unreadable, Trouble):
            pass
        return ""

    @staticmethod
    def show_native(session, runtime, index):
        worker = next(w for w in runtime.workers if w.index == index)
        thread = session.threads().get(worker.tid)
        if thread is None:
            gdb.write("  the thread of worker %d (tid %d) is not here\n" % (index, worker.tid))
            return
        gdb.write("  native stack of worker %d (thread %d, tid %d)\n" % (index, thread.num, worker.tid))
        before, frame = gdb.selected_thread(), None
        try:
            frame = gdb.selected_frame()
        except gdb.error:
            pass
        try:
            thread.switch()
            text = gdb.execute("backtrace 100", to_string=True)
        except gdb.error as error:
            text = "%s: %s\n" % (UNREADABLE, error)
        finally:
            if before is not None and before.is_valid():
                before.switch()
            if frame is not None and frame.is_valid():
                frame.select()
        for line in text.splitlines():
            gdb.write("    %s\n" % line)
            if re.match(r"#\d+ .*belay::detail::worker::", line):
                break  # below it is the executor alone


class WorkersCommand(BelayCommand):
    """What the workers of every runtime do.
Usage: belay workers

Of each its thread, its epoch (odd while it is in a task), how often it has polled a task, how long its queues are, and what
it does now."""

    def run(self, argument):
        session = Session()
        threads = session.threads()
        for runtime in session.runtimes():
            gdb.write("%s, %s injected\n" % (runtime.title(), format(runtime.core.injected, ",")))
            rows = [("worker", "thread", "epoch", "polls", "fork", "wake", "lifo", "pinned", "state")]
            for worker in runtime.workers:
                rows.append(self.row(session, runtime, worker, threads))
            widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
            for row in rows:
                cells = [cell.ljust(width) for cell, width in zip(row, widths)]
                gdb.write("  %s  %s\n" % ("  ".join(cells), row[-1]))

    def row(self, session, runtime, worker, threads):
        thread = threads.get(worker.tid)
        name = "%d (tid %d)" % (thread.num, worker.tid) if thread is not None else "tid %d" % worker.tid if worker.tid else "none"
        lengths = []
        for key in ("fork", "wake"):
            try:
                queue = session.view("queue", worker.address_of(key))
                lengths.append(str(max(0, queue.bottom - queue.top)))
            except Unreadable:
                lengths.append("?")
        pinned = runtime.pinned(worker)
        waiting = str(max(0, pinned.pushed - pinned.popped)) if pinned is not None else "?"
        return (str(worker.index), name, "odd" if worker.epoch % 2 else "even", format(worker.polls, ","), lengths[0], lengths[1],
                "1" if worker.lifo else "0", waiting, self.state(session, runtime, worker))

    @staticmethod
    def state(session, runtime, worker):
        stand_in = "stand-in, " if worker.index >= runtime.core.regular_workers else ""
        if worker.ended:
            return stand_in + "has ended"
        if worker.epoch % 2:
            text = "between two tasks"
            if worker.current:
                try:
                    record = session.view("record", worker.current)
                    name = session.memory.text(record.name, 80) if record.name else ""
                    text = "runs task %d%s" % (record.id, ' "%s"' % name if name else "")
                except Unreadable:
                    text = "runs a task that is " + UNREADABLE
            return stand_in + text + (", abandoned" if worker.abandoned else "")
        if stand_in and not worker.on_duty:
            return stand_in + "rests"
        if runtime.core.how == HOSTED and not runtime.core.driven:
            return "nobody drives it"
        return stand_in + ("idle" if runtime.is_idle(worker.index) else "looks for work")


class GuardrailsCommand(BelayCommand):
    """What the guardrails do, and what they have found.
Usage: belay guardrails

The policy of each runtime, how often each guardrail has fired, and the stack ids that were seen in the process."""

    def run(self, argument):
        session = Session()
        for runtime in session.runtimes():
            gdb.write('runtime "%s"\n' % runtime.name)
            self.show_observer(session, runtime.core.watcher)
        outside = self.static_pointer(session, "belay::detail::(anonymous namespace)::process_guardrails()::the_one")
        if outside:
            gdb.write("outside of any runtime\n")
            self.show_observer(session, outside)
        reporter = self.static_pointer(session, "belay::detail::process_reporter()::the_one")
        if reporter:
            self.show_places(session, reporter)

    @staticmethod
    def static_pointer(session, name):
        """What a pointer that is static in a function holds; 0 when that is not known."""
        for expression in ("'%s'" % name, "*(long*)&'%s'" % name):
            try:
                return int(gdb.parse_and_eval(expression))
            except (gdb.error, OverflowError):
                pass
        return 0

    def show_observer(self, session, address):
        try:
            kind = session.symbol(session.memory.word(address)) or "?"
            if kind != "vtable for belay::detail::guardrail_observer":
                gdb.write("  has an observer of another class: %s\n" % kind.replace("vtable for ", ""))
                return
            view = session.view("observer", address)
            counted_by = session.view("about", view.about)
            rule_size = session.shape("rule").size
            for i, count in enumerate(counted_by.all("reports")):
                rule = session.view("rule", view.address_of("rules") + i * rule_size)
                policy = session.types.enumerator("belay::guardrails::action", rule.then)
                if rule.threshold and rule.then:
                    policy += " at " + duration(rule.threshold)
                gdb.write("  %-24s %-18s %s\n" % (self.kind(session, i), policy, counted(count, "report")))
            self.show_sums(counted_by)
        except Unreadable:
            gdb.write("  %s\n" % UNREADABLE)

    @staticmethod
    def kind(session, i):
        return session.types.enumerator("belay::guardrail", i)

    @staticmethod
    def show_sums(view):
        hog, blocked, starved = view.all("stalls")[:3]
        if hog or blocked or starved:
            gdb.write("  stalls: %d computed, %d blocked, %d got no CPU\n" % (hog, blocked, starved))
        if view.suppressed:
            gdb.write("  %s not written: repeated, or too many\n" % counted(view.suppressed, "report"))

    def show_places(self, session, address):
        """Which stack ids were seen. A place is kept under its stack id and its kind, mixed: the kinds that have fired are tried."""
        view = session.view("reporter", address)
        reports = view.all("reports")
        gdb.write("the process: %s\n" % counted(sum(reports), "report"))
        self.show_sums(view)
        fired = [i for i, n in enumerate(reports) if n]
        size = session.shape("seen").size
        count = session.types.member("belay::detail::reporter", "throttle_.places_")[1].sizeof // size
        for i in range(count):
            place = session.view("seen", view.address_of("places") + i * size)
            if not place.key or not place.seen:
                continue
            ids = ["%016x (%s%s)" % (place.key ^ ((kind + 1) * 0x9e3779b97f4a7c15 & 0xffffffffffffffff),
                                     "if it was " if len(fired) > 1 else "", self.kind(session, kind))
                   for kind in fired]
            gdb.write("  seen %s: stack id %s\n" % (counted(place.seen, "time"), ", ".join(ids)))


def duration(ns):
    for unit, name in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if ns >= unit and ns % unit == 0:
            return "%d %s" % (ns // unit, name)
    return "%d ns" % ns


BelayCommand()
TasksCommand("belay tasks")
BacktraceCommand("belay bt")
WorkersCommand("belay workers")
GuardrailsCommand("belay guardrails")
