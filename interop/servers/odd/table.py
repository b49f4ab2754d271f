"""All cases."""

from __future__ import annotations

import cases_http
import cases_modern
import cases_sse
import cases_stdio
import cases_talk

CASES = [*cases_http.CASES, *cases_talk.CASES, *cases_modern.CASES, *cases_sse.CASES, *cases_stdio.CASES]
