//! `portolan audit`: what is in a ledger, and whether it is as it was written.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base::moment;
use base::plan::Plan;
use clap::ValueEnum;
use ledger::key::{PublicKey, SigningKey};
use ledger::proof::{Proof, prove};
use ledger::query::{self, Filter, inner, text};
use ledger::verify::{Against, Bad, ReplicaReport, VerifyReport, verify};
use ledger::witness::Witnessed;
use mcp::json::{Object, quote};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::recording;
use crate::serve::configuration::Configuration;
use crate::{print, shared};

/// How often `tail` looks.
const LOOK: Duration = Duration::from_secs(1);

/// Read the ledger of what was done, and verify that nothing of it was changed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan audit verify portolan.toml
  portolan audit query portolan.toml --since 1h --outcome error
  portolan audit export portolan.toml --format csv > calls.csv")]
pub(crate) struct AuditCommand {
    #[command(subcommand)]
    what: AuditTask,
}

#[derive(Debug, clap::Subcommand)]
enum AuditTask {
    /// Prove that nothing was altered, removed, reordered or cut off, and name the first record that is not as it was
    ///
    /// The exit status is 0 where all is well, and 1 where it is not. What no checkpoint covers yet, which is the last seconds of a
    /// process that runs or was killed, is counted and not proved.
    #[command(after_help = "\
Examples:
  portolan audit verify portolan.toml
  portolan audit verify --dir /mnt/copy/audit --key ledger.pub --witness /mnt/elsewhere/witness.jsonl")]
    Verify(VerifyAudit),
    /// Show records
    #[command(
        after_help = "Example:\n  portolan audit query portolan.toml --since 2026-12-01T08:00:00Z --server github"
    )]
    Query(QueryAudit),
    /// Show records as they come
    #[command(after_help = "Example:\n  portolan audit tail portolan.toml --outcome error")]
    Tail(QueryAudit),
    /// Write records for other programs
    #[command(
        after_help = "Example:\n  portolan audit export portolan.toml --format csv --since 24h > calls.csv"
    )]
    Export(ExportAudit),
    /// Prove one record to somebody who has no other
    #[command(after_help = "Example:\n  portolan audit prove web-1/4711 portolan.toml > proof.json")]
    Prove(ProveRecord),
    /// Check the proof of a record, with nothing but a public key
    #[command(after_help = "Example:\n  portolan audit check-proof proof.json --key ledger.pub")]
    CheckProof(CheckProof),
    /// Print the public key that others verify the ledger with
    #[command(after_help = "Example:\n  portolan audit key > ledger.pub")]
    Key(KeyOfAudit),
}

#[derive(Debug, clap::Args)]
struct AuditPlace {
    /// The configuration that the gateway serves, which names the ledger
    #[arg(value_name = "CONFIG", default_value = "portolan.toml")]
    config: PathBuf,
    /// The ledger's directory, where there is no configuration
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct VerifyAudit {
    #[command(flatten)]
    place: AuditPlace,
    /// A public key, or a file with some, a line each: of whoever has written the ledger. Without it, this machine's
    #[arg(long, value_name = "FILE|KEY")]
    key: Vec<String>,
    /// The file in which checkpoints were kept elsewhere. Without it, the configuration's
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct WantedRecords {
    /// Made at this time or later: 2026-12-01T08:00:00Z, or 15m, 24h, 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Made before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// By this principal: its id, or its subject alone
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
    /// At this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// About the tool, prompt or resource that its server calls so
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// That ended so: ok, error, cancelled, or a reason of the error table
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Of this type: call, approval, login, configuration, checkpoint, start, end, gap, deleted
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
}

#[derive(Debug, clap::Args)]
struct QueryAudit {
    #[command(flatten)]
    place: AuditPlace,
    #[command(flatten)]
    wanted: WantedRecords,
    /// The records as they are, a line each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ExportAudit {
    #[command(flatten)]
    place: AuditPlace,
    #[command(flatten)]
    wanted: WantedRecords,
    /// How
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// The records as they are, a line each
    Jsonl,
    /// Calls as comma-separated values (RFC 4180), with a line of names
    Csv,
}

#[derive(Debug, clap::Args)]
struct KeyOfAudit {
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ProveRecord {
    /// The record: its members replica and seq
    #[arg(value_name = "REPLICA/SEQ")]
    id: String,
    #[command(flatten)]
    place: AuditPlace,
}

#[derive(Debug, clap::Args)]
struct CheckProof {
    /// The proof
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    /// A public key, or a file with some, a line each: of whoever has written the ledger
    #[arg(long, value_name = "FILE|KEY", required = true)]
    key: Vec<String>,
}

impl ProveRecord {
    fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let id = self.id.split_once('/').and_then(|(replica, seq)| Some((replica, seq.parse().ok()?)));
        let is_one = |replica: &str| !replica.is_empty() && replica.bytes().all(ledger::line::is_name);
        let Some((replica, seq)) = id.filter(|(replica, _)| is_one(replica) && *replica != "..") else {
            return Err(Fault::usage(format!("{:?} names no record", self.id)).hint(
                "write its replica and seq, such as web-1/4711; `portolan audit query --json` shows them",
            ));
        };
        let (directory, _) = self.place.find(voice)?;
        let proof =
            prove(&directory, replica, seq).map_err(|error| unreadable(&directory.join(replica), &error))?;
        let proof = proof.map_err(|fault| Fault::Outside(fault.to_string()))?;
        print::out(proof.to_json())?;
        Ok(Exit::Ok)
    }
}

impl CheckProof {
    fn run(&self) -> Result<Exit, Fault> {
        let text = std::fs::read_to_string(&self.proof).map_err(|error| unreadable(&self.proof, &error))?;
        let keys = keys_of(&self.key)?;
        let checked = Proof::of_json(&text).and_then(|proof| proof.check(&keys).map(|()| proof));
        match checked {
            Ok(proof) => {
                print::out(format!(
                    "this record was signed as it is:\n{}\n",
                    print::safe_out(&proof.record)
                ))?;
                Ok(Exit::Ok)
            }
            Err(fault) => {
                print::out(format!("BAD: {fault}\n"))?;
                Ok(Exit::Findings)
            }
        }
    }
}

impl AuditCommand {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            AuditTask::Verify(verify) => verify.run(voice),
            AuditTask::Query(query) => query.run(voice),
            AuditTask::Tail(query) => query.follow(voice).await,
            AuditTask::Export(export) => export.run(voice),
            AuditTask::Prove(prove) => prove.run(voice),
            AuditTask::CheckProof(check) => check.run(),
            AuditTask::Key(key) => {
                let key = SigningKey::at(&recording::key_file(key.state_dir.as_deref())?)?;
                print::out(format!("{}\n", key.public()))?;
                Ok(Exit::Ok)
            }
        }
    }
}

impl AuditPlace {
    /// The ledger's directory, and the plan that names it.
    fn find(&self, voice: Voice) -> Result<(PathBuf, Option<Plan>), Fault> {
        let (directory, plan) = match &self.dir {
            Some(directory) => (directory.clone(), None),
            None => {
                let plan = Configuration::at(&self.config).load(voice)?;
                let Some(audit) = &plan.audit else {
                    let what = format!("{} has no ledger", self.config.display());
                    return Err(Fault::usage(what)
                        .hint("write [audit] into it, or name a ledger's directory with --dir"));
                };
                (audit.directory.clone(), Some(plan))
            }
        };
        if !directory.is_dir() {
            let what = format!("{} is no directory: there is no ledger yet", directory.display());
            return Err(Fault::Outside(what).hint("it is made when `portolan serve` begins"));
        }
        Ok((directory, plan))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::outside(&path.display().to_string(), error)
}

impl VerifyAudit {
    fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, plan) = self.place.find(voice)?;
        let mut witnesses = self.witness.clone();
        if let Some(path) = plan.and_then(|plan| plan.audit?.witness).filter(|_| witnesses.is_empty()) {
            if path.exists() {
                witnesses.push(path);
            } else {
                let said = format!(
                    "warning: the witness {} is not there: an end that was cut off is not seen\n",
                    path.display()
                );
                print::err(&print::safe_err(&said));
            }
        }
        let mut witnessed = Witnessed::default();
        for path in &witnesses {
            witnessed.read(path).map_err(|error| unreadable(path, &error))?;
        }
        if witnessed.torn > 0 {
            print::err(&format!(
                "warning: lines of the witness that are not whole, and say nothing: {}\n",
                witnessed.torn
            ));
        }
        let against = Against { keys: self.keys()?, witnessed };
        let report = verify(&directory, &against).map_err(|error| unreadable(&directory, &error))?;
        if report.replicas.is_empty() && report.bad.is_empty() {
            let what = format!("there is no ledger in {}", directory.display());
            return Err(Fault::usage(what)
                .hint("name the directory of [audit], in which each process has one of its own"));
        }
        let said = if self.json { verified_json(&report) } else { verified(&report, !witnesses.is_empty()) };
        print::out(said)?;
        Ok(if report.bad.is_empty() { Exit::Ok } else { Exit::Findings })
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Fault> {
        if self.key.is_empty() {
            let path = recording::key_file(self.state_dir.as_deref())?;
            let key = SigningKey::at(&path).map_err(|fault| {
                Fault::from(fault).hint("name the public key of whoever has written the ledger with --key; `portolan audit key` prints it there")
            })?;
            return Ok(vec![key.public()]);
        }
        keys_of(&self.key)
    }
}

/// Public keys, each given as itself or in a file.
fn keys_of(given: &[String]) -> Result<Vec<PublicKey>, Fault> {
    let mut keys = Vec::new();
    for given in given {
        if let Some(key) = PublicKey::of_text(given) {
            keys.push(key);
            continue;
        }
        let text = std::fs::read_to_string(given).map_err(|error| unreadable(Path::new(given), &error))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let no_key = || {
                Fault::usage(format!("{given}: {line:?} is no public key"))
                    .hint("such as ed25519: and 64 hexadecimal digits")
            };
            keys.push(PublicKey::of_text(line).ok_or_else(no_key)?);
        }
        if keys.is_empty() {
            return Err(Fault::usage(format!("{given} has no public key"))
                .hint("`portolan audit key` prints it where the gateway runs"));
        }
    }
    Ok(keys)
}

fn verified(report: &VerifyReport, has_witness: bool) -> String {
    let mut out = String::new();
    for one in &report.replicas {
        let ReplicaReport { replica, segments, records, checkpoints, unsigned, witnessed, times, notes } =
            one;
        let times = times.as_ref().map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
        out.push_str(&format!("{replica}: {records} records in {segments} files{times}\n"));
        out.push_str(&format!("  {checkpoints} checkpoints are good"));
        out.push_str(&if has_witness {
            format!(", the witness has seen {witnessed} of them\n")
        } else {
            "\n".to_owned()
        });
        if *unsigned > 0 {
            out.push_str(&format!(
                "  the last {unsigned} records follow each other, and no checkpoint covers them yet\n"
            ));
        }
        notes.iter().for_each(|note| out.push_str(&format!("  note: {}\n", print::safe_out(note))));
    }
    for Bad { replica, segment, line, seq, why } in &report.bad {
        let at = match segment {
            Some(segment) => format!("{replica}/{segment}, line {line}, record {seq}"),
            None if *line > 0 => format!("{replica}, line {line}"),
            None => replica.clone(),
        };
        out.push_str(&format!("BAD: {at}: {}\n", print::safe_out(why)));
    }
    out.push_str(match (report.bad.is_empty(), has_witness) {
        (false, _) => "this ledger is not as it was written\n",
        (true, true) => "nothing was altered, removed, reordered or cut off\n",
        (true, false) => "nothing was altered, removed or reordered; whether the end was cut off only a witness can say (audit.witness)\n",
    });
    out
}

fn verified_json(report: &VerifyReport) -> String {
    let replicas = report.replicas.iter().map(|one| {
        let notes: Vec<_> = one.notes.iter().map(|note| quote(note)).collect();
        format!(
            r#"{{"replica":{},"segments":{},"records":{},"checkpoints":{},"unsigned":{},"witnessed":{},"notes":[{}]}}"#,
            quote(&one.replica), one.segments, one.records, one.checkpoints, one.unsigned, one.witnessed, notes.join(",")
        )
    });
    let bad = report.bad.iter().map(|bad| {
        let segment = bad.segment.as_deref().map_or_else(|| "null".to_owned(), quote);
        format!(
            r#"{{"replica":{},"segment":{segment},"line":{},"seq":{},"why":{}}}"#,
            quote(&bad.replica),
            bad.line,
            bad.seq,
            quote(&bad.why)
        )
    });
    let (replicas, bad): (Vec<_>, Vec<_>) = (replicas.collect(), bad.collect());
    format!(
        "{{\"good\":{},\"replicas\":[{}],\"bad\":[{}]}}\n",
        report.bad.is_empty(),
        replicas.join(","),
        bad.join(",")
    )
}

impl WantedRecords {
    fn filter(&self) -> Result<Filter, Fault> {
        Ok(Filter {
            since: self.since.as_deref().map(|text| time(text, "--since")).transpose()?,
            until: self.until.as_deref().map(|text| time(text, "--until")).transpose()?,
            kind: self.r#type.clone(),
            principal: self.principal.clone(),
            server: self.server.clone(),
            thing: self.tool.clone(),
            outcome: self.outcome.clone(),
            trace: self.trace.clone(),
        })
    }
}

/// A time as records spell it.
fn time(given: &str, option: &str) -> Result<String, Fault> {
    let ago = config::duration(given).and_then(|ago| shared::now().checked_sub(ago));
    let at: Option<SystemTime> = ago.or_else(|| moment::read(given));
    let at = at.ok_or_else(|| {
        Fault::usage(format!("{option} {given:?} is no time"))
            .hint("such as 2026-12-01T08:00:00Z, or 15m, 24h, 7d for so long ago")
    })?;
    // To the microsecond.
    Ok(moment::write(at).replace('Z', "000Z"))
}

/// Writes lines to stdout until nobody reads them.
fn write_all(
    directory: &Path,
    filter: &Filter,
    mut shown: impl FnMut(&str) -> Option<String>,
) -> Result<(), Fault> {
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut unread = false;
    let done = query::read(directory, filter, |line| {
        let Some(text) = shown(line) else { return Ok(true) };
        unread = out.write_all(text.as_bytes()).is_err();
        Ok(!unread)
    });
    done.map_err(|error| unreadable(directory, &error))?;
    if unread || out.flush().is_err() { Err(Fault::Unread) } else { Ok(()) }
}

impl QueryAudit {
    fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        write_all(&directory, &self.wanted.filter()?, |line| self.shown(line))?;
        Ok(Exit::Ok)
    }

    async fn follow(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let mut filter = self.wanted.filter()?;
        // What was written in the microsecond of the last one may come twice, and is known by its text.
        let mut since = filter.since.take().map_or_else(|| time("0ms", "--since"), Ok)?;
        let mut known: Vec<String> = Vec::new();
        loop {
            let from = Filter { since: Some(since.clone()), ..filter.clone() };
            let mut last = since.clone();
            let mut now = known.clone();
            write_all(&directory, &from, |line| {
                let at = ledger::line::Head::read(line)?.time.to_owned();
                if at > last {
                    (last, now) = (at, Vec::new());
                }
                if now.iter().any(|known| known == line) || known.iter().any(|known| known == line) {
                    return None;
                }
                now.push(line.to_owned());
                self.shown(line)
            })?;
            (since, known) = (last, now);
            tokio::time::sleep(LOOK).await;
        }
    }

    fn shown(&self, line: &str) -> Option<String> {
        if self.json { Some(format!("{line}\n")) } else { Some(row(line)? + "\n") }
    }
}

/// One record for a person.
fn row(line: &str) -> Option<String> {
    let head = ledger::line::Head::read(line)?;
    let object = Object::parse(line).ok()?;
    let time = head.time.get(..23).unwrap_or(head.time).replace('T', " ");
    let who = inner(&object, "principal", "subject")
        .or_else(|| inner(&object, "principal", "id"))
        .unwrap_or_default();
    let rest = if head.kind == "call" {
        let what = text(&object, "method").unwrap_or_default();
        let server = text(&object, "server").map(|server| format!(" {server}")).unwrap_or_default();
        let thing = inner(&object, "thing", "name").map(|name| format!(" {name}")).unwrap_or_default();
        let micros = object
            .get("durationUs")
            .ok()
            .flatten()
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or_default();
        let outcome = text(&object, "outcome").unwrap_or_default();
        format!("{outcome:<10} {who}  {what}{server}{thing}  {}.{:03} ms", micros / 1000, micros % 1000)
    } else {
        head.rest.trim_start_matches(',').trim_end_matches('}').to_owned()
    };
    let safe = print::safe_out(&rest).replace('\n', " ");
    Some(format!("{time}  {:<10} {:<13} {safe}", head.replica, head.kind))
}

impl ExportAudit {
    fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let mut filter = self.wanted.filter()?;
        match self.format {
            ExportFormat::Jsonl => write_all(&directory, &filter, |line| Some(format!("{line}\n")))?,
            ExportFormat::Csv => {
                filter.kind = Some("call".to_owned());
                let mut names = Some(format!("{}\r\n", COLUMNS.map(|(name, _)| name).join(",")));
                write_all(&directory, &filter, |line| Some(names.take().unwrap_or_default() + &csv(line)?))?;
                if let Some(names) = names {
                    print::out(names)?;
                }
            }
        }
        if io::stdout().is_terminal() && matches!(self.format, ExportFormat::Csv) {
            print::err("write it into a file with > calls.csv\n");
        }
        Ok(Exit::Ok)
    }
}

/// What a line of comma-separated values has: the name, and where it stands in a record.
const COLUMNS: [(&str, &[&str]); 19] = [
    ("time", &["time"]),
    ("replica", &["replica"]),
    ("seq", &["seq"]),
    ("trace", &["trace"]),
    ("principal", &["principal", "id"]),
    ("issuer", &["principal", "issuer"]),
    ("subject", &["principal", "subject"]),
    ("client", &["principal", "client"]),
    ("address", &["address"]),
    ("route", &["route"]),
    ("method", &["method"]),
    ("server", &["server"]),
    ("thing", &["thing", "name"]),
    ("arguments", &["arguments", "digest"]),
    ("result", &["result", "digest"]),
    ("allowed", &["decision", "allowed"]),
    ("why", &["decision", "why"]),
    ("outcome", &["outcome"]),
    ("durationUs", &["durationUs"]),
];

fn csv(line: &str) -> Option<String> {
    let mut out = String::new();
    for (at, (_, path)) in COLUMNS.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let mut value = Some(line);
        for name in *path {
            value = value.and_then(|value| Object::parse(value).ok()?.get(name).ok()?);
        }
        let value = value.unwrap_or_default();
        let plain = mcp::json::string(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned);
        out.push_str(&cell(&plain));
    }
    out.push_str("\r\n");
    Some(out)
}

/// A value that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let guarded =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}
