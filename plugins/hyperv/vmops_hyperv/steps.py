"""The steps that a plan consists of.

A step is data: which cmdlet with which parameters, which CIM method with which arguments, which fixed script with which
document, which file operation. Runners carry steps out; nothing here or in a plan ever becomes script text.
"""

import json


class VM:
    """A machine as a parameter: by its Hyper-V id, or `VM.NEW` for the one that an earlier step of the plan made."""

    NEW = "@new"

    __slots__ = ("id",)

    def __init__(self, id):
        self.id = id

    def __eq__(self, other):
        return isinstance(other, VM) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return "VM(%s)" % self.id


class Moves:
    """Disk files and where each goes, as the parameter `VHDs` of Move-VM takes them."""

    __slots__ = ("pairs",)

    def __init__(self, pairs):
        self.pairs = [tuple(pair) for pair in pairs]

    def __eq__(self, other):
        return isinstance(other, Moves) and other.pairs == self.pairs

    def __hash__(self):
        return hash(tuple(self.pairs))


def encode(value):
    """A parameter with its type. Texts carry a leading `=`, so that no JSON reader takes one for a date."""
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, int):
        return {"i": value}
    if isinstance(value, str):
        return {"s": "=" + value}
    if isinstance(value, VM):
        return {"vm": value.id}
    if isinstance(value, Moves):
        return {"m": [["=" + source, "=" + target] for source, target in value.pairs]}
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return {"l": ["=" + item for item in value]}
    raise TypeError("not a parameter: %r" % (value,))


def show(value):
    if isinstance(value, VM):
        return "<%s>" % value.id
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, Moves):
        return "(" + ", ".join("%s => %s" % (show(a), show(b)) for a, b in value.pairs) + ")"
    return json.dumps(value, ensure_ascii=False)


class Step:
    """What all steps share: `tolerate` names error codes that do not matter here; `undo` steps run when a later step
    fails; `always` makes the step run even after an earlier one failed."""

    tolerate = ()
    always = False
    undo = ()

    def options(self, tolerate=(), always=False, undo=()):
        self.tolerate, self.always, self.undo = tuple(tolerate), always, tuple(undo)
        return self

    def suffix(self):
        notes = []
        if self.tolerate:
            notes.append("tolerating " + ", ".join(self.tolerate))
        if self.always:
            notes.append("always")
        if self.undo:
            notes.append("undone by " + "; ".join(step.text() for step in self.undo))
        return "   # " + "; ".join(notes) if notes else ""

    def describe(self):
        return self.text() + self.suffix()

    def __repr__(self):
        return self.describe()

    def __eq__(self, other):
        return type(self) is type(other) and self.describe() == other.describe()

    def __hash__(self):
        return hash(self.describe())


class Cmdlet(Step):
    """A cmdlet of the Hyper-V module. `source` is a cmdlet whose output is piped into it; nothing from there is the
    error `not_found`. `result` names the properties to answer with."""

    kind = "cmdlet"

    def __init__(self, name, parameters=None, result=(), source=None, bind=False):
        self.name, self.parameters, self.result = name, dict(parameters or {}), tuple(result)
        self.source, self.bind = source, bind

    def text(self):
        words = [self.name] + ["-%s %s" % (key, show(value)) for key, value in self.parameters.items()]
        text = " ".join(words)
        if self.source:
            text = self.source.text() + " | " + text
        if self.result:
            text += " -> " + ", ".join(self.result)
        return text + (" as @new" if self.bind else "")

    def document(self):
        document = {
            "name": self.name,
            "parameters": {key: encode(value) for key, value in self.parameters.items()},
            "result": list(self.result),
        }
        if self.source:
            document["source"] = self.source.document()
        return document

    def bound(self, vm):
        copy = Cmdlet(self.name, {k: VM(vm) if v == VM(VM.NEW) else v for k, v in self.parameters.items()},
                      self.result, self.source.bound(vm) if self.source else None, self.bind)
        return copy.options(self.tolerate, self.always, [step.bound(vm) for step in self.undo])


class Invoke(Step):
    """A method of a CIM class in `root/virtualization/v2`, on the object that belongs to the machine. Answers with
    `value`, the method's return value, and `job` when one was started; `found` false when there is no such object."""

    kind = "invoke"

    def __init__(self, cim_class, method, vm=None, arguments=None):
        self.cim_class, self.method, self.vm, self.arguments = cim_class, method, vm, dict(arguments or {})

    def text(self):
        arguments = ", ".join("%s: %s" % (key, show(value)) for key, value in self.arguments.items())
        return "%s%s.%s(%s)" % (self.cim_class, "[%s]" % self.vm.id if self.vm else "", self.method, arguments)

    def document(self):
        return {
            "class": self.cim_class,
            "method": self.method,
            "vm": self.vm.id if self.vm else None,
            "arguments": {key: encode(value) for key, value in self.arguments.items()},
        }

    def bound(self, vm):
        copy = Invoke(self.cim_class, self.method, VM(vm) if self.vm == VM(VM.NEW) else self.vm, self.arguments)
        return copy.options(self.tolerate, self.always, [step.bound(vm) for step in self.undo])


class Script(Step):
    """One of the fixed scripts of the bridge, by name."""

    kind = "script"

    def __init__(self, name, **document):
        self.name, self.values = name, document

    def text(self):
        return "script %s(%s)" % (
            self.name, ", ".join("%s: %s" % (key, show(value)) for key, value in self.values.items()))

    def document(self):
        return {"name": self.name, "document": {key: encode(value) for key, value in self.values.items()}}

    def bound(self, vm):
        copy = Script(self.name, **{k: VM(vm) if v == VM(VM.NEW) else v for k, v in self.values.items()})
        return copy.options(self.tolerate, self.always, [step.bound(vm) for step in self.undo])


class File(Step):
    """An operation on the Hyper-V host's files: `makeDirectory`, `copy`, `move`, `remove`, `removeTree`, `write`,
    `copyOver`."""

    kind = "file"

    def __init__(self, operation, path, target=None, content=None):
        self.operation, self.path, self.target, self.content = operation, path, target, content

    def text(self):
        words = ["file", self.operation, show(self.path)]
        if self.target is not None:
            words.append("-> " + show(self.target))
        if self.content is not None:
            words.append("(%d bytes)" % len(self.content))
        return " ".join(words)

    def bound(self, vm):
        return self
