"""What OCSF's own schema and two parsers of CEF say of a text."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache

import jsonschema
import pycef
from cefevent.extensions import extension_dictionary
from cefevent.event import CEFEvent
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

Check = Callable[[bool, str], None]


@cache
def schema() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    name = schema().lookup_class_name_from_uid(class_uid)
    return jsonschema.Draft202012Validator(schema().get_class_schema(name, list(profiles)))


def ocsf(check: Check, what: str, text: str) -> None:
    event = json.loads(text)
    profiles = tuple(event["metadata"]["profiles"])
    problems = [f"{list(error.absolute_path)}: {error.message[:200]}"
                for error in validator(event["class_uid"], profiles).iter_errors(event)]
    check(not problems, f"{what}: {event['class_uid']}: {problems}")
    # What no JSON Schema sees.
    check(event["type_uid"] == event["class_uid"] * 100 + event["activity_id"], f"{what}: type_uid")
    check(event["category_uid"] == event["class_uid"] // 1000, f"{what}: category_uid")
    check(1_600_000_000_000 < event["time"] < 4_000_000_000_000, f"{what}: time is in milliseconds")
    check(event["activity_id"] != 99 or bool(event.get("activity_name")), f"{what}: activity 99 has a name")
    check(text.isascii() and text.isprintable(), f"{what}: ASCII on one line")


def cef(check: Check, what: str, text: str) -> None:
    check(not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\ufeff" for c in text), f"{what}: one line")
    read = pycef.parse(text)
    check(read is not None and read["DeviceVendor"] == "Portolan", f"{what}: pycef reads the header: {text[:120]}")
    if read is None:
        return
    names = [name for name in ("dvchost", "externalId", "cat", "msg") if name not in read]
    check(not names, f"{what}: pycef finds {names}")
    check(read["dvchost"] == "web-1", f"{what}: pycef: {read['dvchost']!r}")
    # Nothing that somebody chose has become a field of its own: all names are ours.
    known = set(extension_dictionary) | {"outcome"}
    header = {"DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "Name", "DeviceName", "Severity",
              "DeviceSeverity", "CEFVersion", "thing", "server", "route", "policies", "trace", "approval", "durationUs",
              "Source IPv6 Address"}
    strange = set(read) - known - header
    check(not strange, f"{what}: pycef has made fields of values: {strange}")
    event = CEFEvent(strict=True)
    for name, value in read.items():
        if name not in extension_dictionary:
            continue
        plain = value.replace("\\n", "\n").replace("\\r", "\r").replace("\\=", "=").replace("\\\\", "\\")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                event.set_field(name, int(plain) if name in ("rt",) else plain)
            except (ValueError, TypeError) as fault:
                check(False, f"{what}: cefevent refuses {name}={plain[:80]!r}: {str(fault)[:200]}")
