"""What `suite`, `peers` and the others share: processes that never stay behind, the servers, and Portolan in front of them.

Reading order: process (a stage and what runs on it), servers (what can stand behind), gateway (Portolan), database
and fleet (several of it), census (who
is running, by /proc), real (clients that people use), model and loopback (what these need), tap (what passes on a connection), raw (a small client of ours), table (columns for people).
Python 3.11's standard library only.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
OUT = HERE / "out"
NODE = HERE / "node_modules" / ".bin" / "node"
PYTHON = HERE / ".venv" / "bin" / "python"
PYTHON_V1 = HERE / ".venv-v1" / "bin" / "python"
