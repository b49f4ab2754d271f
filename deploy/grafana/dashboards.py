#!/usr/bin/env python3
"""Writes the dashboards: each is a file of Grafana 11 and later, to be imported or provisioned.

    deploy/grafana/dashboards.py             writes traffic.json, errors.json, servers.json, callers.json
    deploy/grafana/dashboards.py --check     says which of them is another than it would write; exit 1 then

`check` asks a real Prometheus each of their queries. What is where: docs/metrics.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Json = dict[str, Any]

# Who has to do something, by the outcomes of docs/reference/errors.md; `check` wants each outcome in one of them.
SERVERS = ("upstream_unreachable breaker_open upstream_begun_anew upstream_starting upstream_unauthorized upstream_broke_off "
           "upstream_invalid_answer upstream_deadline").split()
OURS = "overloaded no_room out_of_descriptors draining store_away audit_unavailable replica_away replica_lost identity_away internal".split()
RIGHTS = "denied policy unauthenticated bad_credentials insufficient_scope quarantined approval_needed approval_denied rate_limited".split()
CALLERS = ("rejected arguments unknown_name bad_cursor capability task request_state input_refused not_bridged not_resumable "
           "no_session").split()
# `error` is an error of a server's own, which passes as it came.
WELL = "ok error input_required cancelled".split()

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Which processes, and of these which servers and routes, the page is about.
WHERE = 'job=~"$job", instance=~"$instance"'
OF = f'{WHERE}, upstream=~"$server"'
RATE = "$__rate_interval"


def any_of(outcomes: list[str]) -> str:
    return "|".join(outcomes)


def rate(metric: str, where: str = OF, by: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}[{RATE}]))" if by else f"sum(rate({metric}{{{where}}}[{RATE}]))"


def increase(metric: str, where: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}{{{where}}}[{RATE}]))"


def quantile(q: float, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f'histogram_quantile({q}, sum by ({labels}) (rate(portolan_call_duration_seconds_bucket{{{OF}, method=~"$method"}}[{RATE}])))'


def share(outcomes: list[str], by: str = "") -> str:
    """Of all calls, those that ended so. Where there are none the share is nothing, and not an empty panel."""
    of = f" by ({by})" if by else ""
    ended = f'sum{of} (rate(portolan_calls_total{{{OF}, outcome=~"{any_of(outcomes)}"}}[{RATE}]))'
    whole = f"sum{of} (rate(portolan_calls_total{{{OF}}}[{RATE}]))"
    return f"({ended} or 0 * {whole}) / ({whole} > 0)"


def targets(queries: dict[str, str], instant: bool) -> list[Json]:
    return [
        {"datasource": SOURCE, "editorMode": "code", "expr": query, "instant": instant, "legendFormat": legend, "range": not instant, "refId": chr(65 + place)}
        for place, (legend, query) in enumerate(queries.items())
    ]


def steps(*more: tuple[float, str]) -> Json:
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}, *({"color": color, "value": value} for value, color in more)]}


def panel(kind: str, title: str, queries: dict[str, str], does: str, unit: str, width: int, *, limits: Json | None = None,
          stacked: bool = False, words: dict[str, tuple[str, str]] | None = None, most: float | None = None) -> Json:
    custom: Json = {}
    options: Json = {}
    if kind == "timeseries":
        custom = {"drawStyle": "line", "fillOpacity": 20 if stacked else 8, "lineWidth": 1, "showPoints": "never", "spanNulls": True,
                  "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
                  "thresholdsStyle": {"mode": "dashed" if limits else "off"}}
        options = {"legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
                   "tooltip": {"mode": "multi", "sort": "desc"}}
    elif kind == "stat":
        options = {"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    elif kind == "state-timeline":
        custom = {"fillOpacity": 70, "lineWidth": 0}
        options = {"alignValue": "left", "mergeValues": True, "rowHeight": 0.9, "showValue": "auto"}
    defaults: Json = {"color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"}, "custom": custom, "min": 0,
                      "thresholds": limits or steps(), "unit": unit}
    if most is not None:
        defaults["max"] = most
    if words:
        defaults["mappings"] = [{"type": "value", "options": {value: {"color": color, "index": place, "text": text}
                                                               for place, (value, (text, color)) in enumerate(words.items())}}]
    return {"type": kind, "title": title, "description": does, "datasource": SOURCE, "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options, "targets": targets(queries, False), "gridPos": {"w": width, "h": 5 if kind == "stat" else 8}}


def variable(name: str, label: str, query: str) -> Json:
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "definition": query, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "options": []}


VARIABLES = {
    "server": variable("server", "Server", f"label_values(portolan_upstream_up{{{WHERE}}}, upstream)"),
    "method": variable("method", "Method", f"label_values(portolan_calls_total{{{WHERE}}}, method)"),
    "route": variable("route", "Route", f"label_values(portolan_requests_refused_total{{{WHERE}}}, route)"),
}


def dashboard(uid: str, title: str, about: str, variables: list[str], panels: list[Json]) -> Json:
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        place = one["gridPos"]
        if x + place["w"] > 24:
            x, y, height = 0, y + height, 0
        place.update(x=x, y=y)
        x, height = x + place["w"], max(height, place["h"])
        one["id"] = number
    datasource = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "refresh": 1,
                  "options": [], "regex": "", "hide": 0, "multi": False, "includeAll": False}
    first = [datasource, variable("job", "Job", "label_values(portolan_streams, job)"),
             variable("instance", "Replica", 'label_values(portolan_streams{job=~"$job"}, instance)')]
    link = {"asDropdown": True, "icon": "external link", "includeVars": True, "keepTime": True, "tags": ["portolan"], "title": "Portolan", "type": "dashboards"}
    return {"uid": uid, "title": title, "description": about, "tags": ["portolan"], "schemaVersion": 39, "version": 1, "editable": True, "graphTooltip": 1,
            "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "", "annotations": {"list": []}, "links": [link],
            "templating": {"list": first + [VARIABLES[name] for name in variables]}, "panels": panels}


def traffic() -> Json:
    of = f'{OF}, method=~"$method"'
    return dashboard("portolan-traffic", "Portolan: traffic", "How much there is, how long it takes, and what it takes of the process.", ["server", "method"], [
        panel("stat", "Calls", {"calls": rate("portolan_calls_total", of)}, "Of all clients, over the servers and methods that are chosen above.", "reqps", 6),
        panel("stat", "Failed", {"failed": share(SERVERS + OURS)}, "The share of calls that failed for a server or for Portolan, and not for what the caller did. From 5 % on look at «Portolan: errors».",
              "percentunit", 6, limits=steps((0.01, "orange"), (0.05, "red"))),
        panel("stat", "99 of 100 calls within", {"p99": quantile(0.99)}, "The server's time is in it. Portolan's own share is below a millisecond: where this grows, look at «By server» below, and then at that server.",
              "s", 6, limits=steps((5, "orange"), (10, "red"))),
        panel("stat", "Replicas scraped", {"replicas": f"count(portolan_streams{{{WHERE}}})"}, "Processes that Prometheus reaches. Fewer than you started: see docs/scale-out.md and the log of the one that is missing.", "short", 6),
        panel("timeseries", "Calls by method", {"{{method}}": rate("portolan_calls_total", of, "method")}, "Methods that no table knows share «other».", "reqps", 12, stacked=True),
        panel("timeseries", "Calls by server", {"{{upstream}}": rate("portolan_calls_total", of, "upstream")},
              "Without a name: what concerns no server in particular, such as lists. «(portolan)» is what Portolan answers itself.", "reqps", 12, stacked=True),
        panel("timeseries", "Calls by outcome", {"{{outcome}}": rate("portolan_calls_total", of, "outcome")}, "What each means is in docs/reference/errors.md; «error» is an error of a server's own.", "reqps", 12, stacked=True),
        panel("timeseries", "How long calls take", {"half": quantile(0.5), "95 of 100": quantile(0.95), "99 of 100": quantile(0.99)},
              "Until the last byte of the answer. Choose a method above: lists and calls of tools are not alike.", "s", 12, limits=steps((10, "red"))),
        panel("timeseries", "By server, 99 of 100", {"{{upstream}}": quantile(0.99, "upstream")}, "One that stands out is slow itself: lower its timeouts.call, or its concurrent_calls so that it harms nobody (docs/resilience.md).", "s", 12, limits=steps((10, "red"))),
        panel("timeseries", "Streams", {"{{instance}}": f"sum by (instance) (portolan_streams{{{WHERE}}})"}, "Subscriptions and notification streams that are open. More than limits.streams are refused.", "short", 12),
        panel("timeseries", "Connections, of those there may be",
              {"{{instance}} {{listener}}": f"portolan_listener_connections{{{WHERE}}} / portolan_listener_connections_limit{{{WHERE}}}"},
              "At 100 % idle ones are closed for new ones, and then new ones are refused: raise limits.connections, or look at who opens so many. The admin listener has eight.",
              "percentunit", 12, limits=steps((0.8, "orange"), (0.95, "red")), most=1),
        panel("timeseries", "Connections that had no room",
              {"{{listener}}: an idle one was closed": rate("portolan_listener_idle_closed_total", WHERE, "listener"), "{{listener}}: refused": rate("portolan_listener_refused_total", WHERE, "listener")},
              "Refused: all others were busy. Raise limits.connections, or start another replica.", "cps", 12, limits=steps((0.1, "red"))),
        panel("state-timeline", "Ready", {"{{instance}}": f"portolan_ready{{{WHERE}}}"}, "What /readyz says. Red: it starts, drains, reaches no server, or cannot write its ledger; /readyz has the reason.", "short", 12, words={"0": ("not ready", "red"), "1": ("ready", "green")}, limits=steps()),
        panel("timeseries", "Calls under way, of what there may be", {"{{instance}}": f"portolan_calls_open{{{WHERE}}} / portolan_calls_open_limit{{{WHERE}}}"},
              "Near 100 % calls are refused with overloaded. A server that got slow holds them: the panels of «Portolan: servers» say which; else raise limits.concurrent_calls.", "percentunit", 12, limits=steps((0.8, "orange"), (0.95, "red")), most=1),
        panel("timeseries", "Legacy sessions with something going on", {"{{instance}}": f"portolan_sessions{{{WHERE}}}"}, "Of clients: streams, subscriptions, calls. A session alone takes nothing here.", "short", 12),
        panel("timeseries", "Memory for requests and answers, of what there may be",
              {"{{instance}}": f"portolan_memory_held_bytes{{{WHERE}}} / portolan_memory_limit_bytes{{{WHERE}}}"},
              "Near 100 % calls are refused with no_room. Raise limits.memory, or look for large results and clients that read slowly (docs/limits.md).", "percentunit", 12,
              limits=steps((0.8, "orange"), (0.95, "red")), most=1),
        panel("timeseries", "What the process could not give",
              {"no memory": rate("portolan_memory_refusals_total", WHERE), "client took nothing": rate("portolan_write_stalls_total", WHERE), "no file descriptor": rate("portolan_descriptors_lacking_total", WHERE)},
              "No memory: limits.memory. Client took nothing: its connection was ended after limits.write_stall. No file descriptor: raise the hard limit (LimitNOFILE of the unit, ulimit -Hn).", "ops", 12, limits=steps((0.1, "red"))),
        panel("timeseries", "Forwarded to other replicas", {"{{outcome}}": rate("portolan_forwards_total", WHERE, "outcome")},
              "What one replica alone has, such as a legacy session. «unreached» and «lost»: replicas do not reach each other's port; see docs/scale-out.md. Empty with one replica.", "reqps", 12),
        panel("timeseries", "Notifications that went nowhere",
              {"{{upstream}}: nobody to tell": rate("portolan_notifications_dropped_total", OF, "upstream"), "{{upstream}}: progress that went back": rate("portolan_progress_left_out_total", OF, "upstream")},
              "A fault of that server: it speaks of calls that are over, or its progress does not grow. Calls go on.", "ops", 12),
    ])


def errors() -> Json:
    def by(outcomes: list[str]) -> str:
        return rate("portolan_calls_total", f'{OF}, outcome=~"{any_of(outcomes)}"', "upstream, outcome")

    legend = "{{upstream}} {{outcome}}"
    return dashboard("portolan-errors", "Portolan: errors", "What fails, by who has to do something about it. Each outcome is explained in docs/reference/errors.md.", ["server", "route"], [
        panel("stat", "Servers failed", {"share": share(SERVERS)}, "The share of all calls that a server failed. The panels below say which, and how.", "percentunit", 8, limits=steps((0.01, "orange"), (0.05, "red"))),
        panel("stat", "Portolan failed", {"share": share(OURS)}, "The share of all calls that Portolan or what it stands on (store, identity provider, other replicas) could not carry.", "percentunit", 8, limits=steps((0.001, "orange"), (0.01, "red"))),
        panel("stat", "Callers failed", {"share": share(RIGHTS + CALLERS)}, "The share of all calls that were refused for what was asked or who asked. A jump often is a new version of a client, or a changed policy.", "percentunit", 8, limits=steps((0.1, "orange"), (0.5, "red"))),
        panel("timeseries", "For a server", {legend: by(SERVERS)}, "Look at /readyz and docs/troubleshooting.md: unreachable, broke off, deadline and breaker_open are the server's own state; unauthorized is the credential in its headers. Without a server's name: refused before it was sent; «Portolan: servers» says which is down.", "reqps", 12, stacked=True),
        panel("timeseries", "Share of each server's calls that failed for it", {"{{upstream}}": share(SERVERS, "upstream")}, "One server alone: its own log. All of them: the network, or the proxy.", "percentunit", 12, limits=steps((0.05, "red")), most=1),
        panel("timeseries", "For Portolan", {legend: by(OURS)}, "overloaded: limits.concurrent_calls, or that server's concurrent_calls and queued_calls. no_room: limits.memory. store_away, replica_away, replica_lost: docs/store.md. internal is a bug: report it with its line in the log.", "reqps", 12, stacked=True),
        panel("timeseries", "For what was asked", {"{{method}} {{outcome}}": rate("portolan_calls_total", f'{OF}, outcome=~"{any_of(CALLERS)}"', "method, outcome")}, "unknown_name: a tool that is not there (any more), or that the caller may not see. rejected: the client, or a proxy that changes headers. no_session: clients initialize again by themselves.", "reqps", 12, stacked=True),
        panel("timeseries", "An error of the server's own", {"{{upstream}}": rate("portolan_calls_total", f'{OF}, outcome="error"', "upstream")}, "Passed as it came. What it means the server says.", "reqps", 12, stacked=True),
        panel("timeseries", "Ended early", {"{{upstream}} {{outcome}}": rate("portolan_calls_total", f'{OF}, outcome=~"cancelled|input_required"', "upstream, outcome")}, "cancelled: the client went away. input_required is no error: the client is asked something first.", "reqps", 12, stacked=True),
        panel("timeseries", "Not let in", {"{{route}} {{outcome}}": rate("portolan_requests_refused_total", f'{WHERE}, route=~"$route"', "route, outcome")}, "Before there was a call. unauthenticated is usual: it is how clients learn where to log in. Much more of it than logins: portolan token inspect (docs/sign-in.md).", "reqps", 12, stacked=True),
        panel("timeseries", "Sent again", {"{{upstream}}: again": rate("portolan_retries_total", OF, "upstream"), "{{upstream}}: withheld": rate("portolan_retries_withheld_total", OF, "upstream")}, "Withheld: so much failed that more would harm the server. It fails or is overloaded: docs/resilience.md.", "reqps", 12, limits=steps((1, "orange"))),
        panel("timeseries", "Lists without some server's entries", {"{{upstream}}": rate("portolan_lists_degraded_total", OF, "upstream")}, "Clients saw fewer tools than there are. That server was down or too slow; they hear of its tools when it is back.", "reqps", 12),
        panel("timeseries", "Entries that clients would refuse", {"{{upstream}} {{done}}": f"sum by (upstream, done) (portolan_odd_entries_total{{{OF}}})"}, "Since the start, each once. passed: schema = \"repair\" of the server mends it; left_out and quarantined: the log says why, portolan pins diff shows it.", "short", 12),
    ])


def servers() -> Json:
    up = {"0": ("down", "red"), "1": ("up", "green")}
    breaker = {"0": ("closed", "green"), "1": ("trying", "orange"), "2": ("open", "red")}
    return dashboard("portolan-servers", "Portolan: servers", "How each MCP server behind Portolan is.", ["server", "method"], [
        panel("stat", "Up", {"up": f"sum(portolan_upstream_up{{{OF}}})"}, "Servers that could be reached when last tried, over all replicas.", "short", 6),
        panel("stat", "Down", {"down": f"count(portolan_upstream_up{{{OF}}} == 0) or vector(0)"}, "/readyz of the admin listener says why, for each.", "short", 6, limits=steps((1, "red"))),
        panel("stat", "Breakers open", {"open": f"count(portolan_upstream_breaker{{{OF}}} == 2) or vector(0)"}, "Servers that are left alone because they failed again and again; calls are refused at once.", "short", 6, limits=steps((1, "red"))),
        panel("stat", "Child processes", {"processes": f"sum(portolan_children{{{WHERE}}})"}, "Alive, over all replicas. More than limits.children are not started.", "short", 6),
        panel("state-timeline", "Up or down", {"{{instance}} {{upstream}}": f"portolan_upstream_up{{{OF}}}"}, "Red at one replica only: look at that machine's network. Red at all: at the server.", "short", 12, words=up, limits=steps()),
        panel("state-timeline", "Breakers", {"{{instance}} {{upstream}}": f"portolan_upstream_breaker{{{OF}}}"}, "A server without a line has not failed yet. Open: its own log says why; it is tried again by itself, after pauses that grow (docs/resilience.md).", "short", 12, words=breaker, limits=steps()),
        panel("timeseries", "How often breakers opened", {"{{upstream}}": increase("portolan_breaker_openings_total", OF, "upstream")}, "Again and again: the server comes back and does not stand the load. Lower its concurrent_calls.", "short", 12),
        panel("timeseries", "How long calls take, 95 of 100", {"{{upstream}}": quantile(0.95, "upstream")}, "The server's own time.", "s", 12, limits=steps((10, "red"))),
        panel("timeseries", "Calls under way and waiting", {"{{upstream}}": f"sum by (upstream) (portolan_upstream_calls{{{OF}}})", "{{upstream}}: wait": f"sum by (upstream) (portolan_upstream_waiting{{{OF}}})"},
              "Waiting: all places of that server are taken (concurrent_calls). It is slow, or is asked more than it can do; when queued_calls wait, more are refused with overloaded.", "short", 12),
        panel("timeseries", "Processes", {"{{upstream}}": f"sum by (upstream) (portolan_upstream_processes{{{OF}}})"}, "Of servers that are programs. One that only grows has sessions = \"per-client\" and clients that never end theirs.", "short", 12),
        panel("timeseries", "Processes started", {"{{upstream}}": increase("portolan_child_starts_total", OF, "upstream")}, "A program that is started again and again dies: the log has its last words, and portolan check --connect shows them.", "short", 12),
        panel("timeseries", "Legacy sessions opened", {"{{upstream}}": rate("portolan_upstream_sessions_total", OF, "upstream")}, "With servers of the legacy era.", "ops", 12),
        panel("timeseries", "Legacy sessions lost", {"{{upstream}}: lost": rate("portolan_upstream_sessions_lost_total", OF, "upstream"), "{{upstream}}: not opened": rate("portolan_upstream_sessions_withheld_total", OF, "upstream")},
              "Lost: the server restarted. Not opened: it loses each as soon as it was opened; often several processes behind a balancer that does not stick (docs/troubleshooting.md).", "ops", 12, limits=steps((0.1, "orange"))),
        panel("timeseries", "Lists without its entries", {"{{upstream}}": rate("portolan_lists_degraded_total", OF, "upstream")}, "How often clients saw a list without this server's tools.", "reqps", 12),
        panel("timeseries", "Store", {"{{instance}}": f"portolan_store_away{{{WHERE}}}"}, "1: there is a store, and this replica does not reach it. Modern calls go on; sessions, keys and approvals do not (docs/store.md).", "short", 12, limits=steps((1, "red")), most=1),
        panel("timeseries", "Records lost", {"{{instance}}": increase("portolan_audit_records_lost_total", WHERE, "instance")}, "Records that the ledger could not take: of them only the number is in it. Its disk is full or broken: the log says what, and portolan audit verify what is there (docs/audit.md).", "short", 12, limits=steps((1, "red"))),
        panel("timeseries", "Traces and metrics for a collector", {"{{instance}}: taken": rate("portolan_telemetry_taken_total", WHERE, "instance"), "{{instance}}: lost": rate("portolan_telemetry_lost_total", WHERE, "instance")},
              "Lost: the collector is away, does not want them, or takes less than comes. The log says which (docs/tracing.md).", "ops", 12),
        panel("timeseries", "Sinks: how long records wait", {"{{instance}} {{sink}}": f"max by (instance, sink) (portolan_sink_behind_seconds{{{WHERE}}})"}, "The oldest record of the ledger that a sink has not delivered. It grows while a receiver is away or refuses everything: the log says why, and portolan audit sinks --test asks it (docs/feed-the-audit.md).", "s", 12, limits=steps((300, "orange"), (3600, "red"))),
        panel("timeseries", "Sinks: what waits", {"{{instance}} {{sink}}": f"max by (instance, sink) (portolan_sink_behind_bytes{{{WHERE}}})", "{{instance}} {{sink}}: records": f"max by (instance, sink) (portolan_sink_behind_records{{{WHERE}}})"}, "Bytes and records of the ledger. At spool of a sink calls are refused or records passed over.", "short", 12),
        panel("timeseries", "Sinks: delivered, and not", {"{{sink}}": rate("portolan_sink_delivered_total", WHERE, "sink"), "{{sink}}: rejected": rate("portolan_sink_rejected_total", WHERE, "sink"), "{{sink}}: passed over": rate("portolan_sink_dropped_total", WHERE, "sink")}, "Rejected: the receiver will never take them; they are kept beside the ledger, sink-NAME.rejected.jsonl. Passed over: more waited than may.", "short", 12),
        panel("timeseries", "Sinks: failures", {"{{sink}} {{cause}}": rate("portolan_sink_failures_total", WHERE, "sink, cause"), "{{instance}} {{sink}}: up": f"portolan_sink_up{{{WHERE}}}"}, "away and late: the receiver or the way to it. refused and too_large: what is sent. ledger: our own disk.", "short", 12),
        panel("timeseries", "Witness", {"{{instance}} {{witness}}": f"portolan_audit_witness_away{{{WHERE}}}"}, "1: a witness of the ledger cannot be told of its checkpoints. Calls go on; until it is back, nobody could tell that the ledger's end was cut off (docs/audit.md).", "short", 12, limits=steps((1, "orange")), most=1),
    ])


def callers() -> Json:
    def refused(outcomes: str, by: str = "") -> str:
        return rate("portolan_calls_total", f'{OF}, outcome=~"{outcomes}"', by)

    return dashboard("portolan-callers", "Portolan: callers", "Who was not let in, what was not allowed, and what waits for somebody.", ["server", "route"], [
        panel("stat", "Not let in", {"refused": rate("portolan_requests_refused_total", f'{WHERE}, route=~"$route"')}, "Requests without a credential that counts. See «By route and why».", "reqps", 6),
        panel("stat", "Not allowed", {"denied": f'{refused("denied|policy|insufficient_scope")} or vector(0)'}, "Calls that a policy, a missing scope or a missing right refused.", "reqps", 6),
        panel("stat", "Over a limit", {"limited": rate("portolan_limited_total", WHERE)}, "Calls over a limit of the configuration (docs/rates.md).", "reqps", 6),
        panel("stat", "Pins waiting", {"waiting": f"sum(portolan_pins_waiting{{{OF}}}) or vector(0)"}, "Tools and prompts that are not what was approved. Look: portolan pins diff, and approve or deny them (docs/pins.md).", "short", 6, limits=steps((1, "orange"))),
        panel("timeseries", "By route and why", {"{{route}} {{outcome}}": rate("portolan_requests_refused_total", f'{WHERE}, route=~"$route"', "route, outcome")}, "unauthenticated is usual when clients log in. insufficient_scope: the client asked for too little. identity_away: the identity provider cannot be reached (docs/sign-in.md).", "reqps", 12, stacked=True),
        panel("timeseries", "What was not allowed", {"{{upstream}} {{outcome}}": refused(any_of(RIGHTS), "upstream, outcome")}, "policy: portolan policy explain says which policy, and what would have to differ. quarantined: pins. approval_needed: somebody was asked.", "reqps", 12, stacked=True),
        panel("timeseries", "Limits", {"{{limit}} {{by}}": rate("portolan_limited_total", WHERE, "limit, by")}, "by loop: a client makes the same call again and again. Else one caller takes much, or the limit is too low (docs/rates.md).", "reqps", 12, stacked=True),
        panel("timeseries", "Approvals", {"{{outcome}}": f"sum by (outcome) (portolan_approvals_total{{{WHERE}}})"}, "Since the start. Many asked and few used: nobody answers, or the policy asks too often. Open ones: portolan approvals list.", "short", 12),
        panel("timeseries", "Pins waiting", {"{{upstream}}": f"max by (upstream) (portolan_pins_waiting{{{OF}}})"}, "A server that you did not update and that changes its tools is worth a look: portolan pins diff 'SERVER/*'.", "short", 12, limits=steps((1, "orange"))),
    ])


def text(of: Json) -> str:
    return json.dumps(of, indent=1, ensure_ascii=False) + "\n"


ALL = {"traffic": traffic, "errors": errors, "servers": servers, "callers": callers}


def main() -> int:
    others = []
    for name, make in ALL.items():
        file = HERE / f"{name}.json"
        if sys.argv[1:] != ["--check"]:
            file.write_text(text(make()))
        elif not file.exists() or file.read_text() != text(make()):
            others.append(file.name)
    if others:
        print(f"dashboards.py writes another {', '.join(others)} than is there: run it", file=sys.stderr)
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main())
