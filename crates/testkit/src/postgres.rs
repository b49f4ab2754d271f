//! A real PostgreSQL that belongs to one test, in a directory of its own, on a Unix socket. It can be stopped and started,
//! and it ends with the thread that started it, however that ends.
//!
//! With `PORTOLAN_TEST_POSTGRES` (a URL of a role that may make databases) a database of that server is used instead; then
//! it cannot be stopped.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// Who may run PostgreSQL where root may not.
const USER: &str = "postgres";

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: PathBuf,
    server: Option<Child>,
}

/// Where the programs of PostgreSQL are, the latest version first.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn id(option: &str) -> Option<u32> {
    let out = Command::new("id").args([option, USER]).output().ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}

/// Who runs it: a user and group, if it cannot be who runs the tests.
fn owner() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").map_or(1, |process| process.uid());
    let owner = || Some((id("-u")?, id("-g")?));
    if own == 0 { Some(owner().expect("a user postgres: root may not run PostgreSQL")) } else { None }
}

impl Postgres {
    /// Makes one and starts it.
    #[must_use]
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let programs =
            programs().expect("PostgreSQL's programs in /usr/lib/postgresql; ./test install gets them");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("portolan-pg-{}-{number}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        if let Some((user, group)) = owner() {
            chown(&directory, Some(user), Some(group)).unwrap();
        }
        let mut server = Self { programs, directory, server: None };
        let template = server.template();
        let copied =
            server.command("cp", &["-r", template.to_str().unwrap(), server.data().to_str().unwrap()]);
        assert!(copied.success());
        server.go_on();
        server
    }

    /// A URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{socket}/postgres")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Runs a program as who owns the server.
    fn command(&self, program: &str, arguments: &[&str]) -> std::process::ExitStatus {
        let mut command = owned(program);
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    }

    /// An empty cluster that is made once and then copied: to make one takes seconds.
    fn template(&self) -> PathBuf {
        let version =
            self.programs.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
        let user = owner().map_or_else(|| "own".to_owned(), |(user, _)| user.to_string());
        let me = fs::metadata("/proc/self").map_or(0, |process| process.uid());
        let template = std::env::temp_dir().join(format!("portolan-pg-template-{version}-{user}-{me}"));
        if !template.exists() {
            let scratch = self.directory.join("template");
            let initdb = self.programs.join("initdb");
            let scratch_text = scratch.to_str().unwrap();
            let arguments =
                ["-D", scratch_text, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
            assert!(self.command(initdb.to_str().unwrap(), &arguments).success(), "initdb");
            match fs::rename(&scratch, &template) {
                Ok(()) => {}
                // Another test was faster.
                Err(error)
                    if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let expected = owner().map_or(me, |(user, _)| user);
        assert_eq!(
            fs::metadata(&template).unwrap().uid(),
            expected,
            "somebody else's {}",
            template.display()
        );
        template
    }

    /// Starts it, and waits until it answers.
    pub fn go_on(&mut self) {
        assert!(self.server.is_none(), "it runs");
        // A server that was killed leaves these.
        for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock", "data/postmaster.pid"] {
            drop(fs::remove_file(self.directory.join(name)));
        }
        let mut command = owned(self.programs.join("postgres").to_str().unwrap());
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.directory);
        // Nothing of it outlives the test, so nothing needs to be on the disk.
        for setting in ["listen_addresses=", "fsync=off", "shared_buffers=8MB", "max_connections=50"] {
            command.arg("-c").arg(setting);
        }
        let log = fs::File::create(self.directory.join("log")).unwrap();
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut server = command.spawn().unwrap();
        let since = Instant::now();
        while !self.answers() {
            let ended = server.try_wait().unwrap();
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(ended.is_none() && since.elapsed() < PATIENCE, "it does not start: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
        self.server = Some(server);
    }

    fn answers(&self) -> bool {
        UnixStream::connect(self.directory.join(".s.PGSQL.5432")).is_ok()
            && self
                .command(
                    self.programs.join("pg_isready").to_str().unwrap(),
                    &["-q", "-h", self.directory.to_str().unwrap()],
                )
                .success()
    }

    /// Ends it as an operator would who cannot wait: connections are told, and cut off.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Kills it: nobody is told anything.
    pub fn kill(&mut self) {
        self.end("QUIT");
    }

    /// Stops it in its tracks, with all its connections: it is there and does not answer.
    pub fn freeze(&mut self) {
        self.signal_all("STOP");
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&mut self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        let id = self.server.as_ref().expect("it runs").id().to_string();
        // The postmaster and its own children, who are in sessions of their own; nobody else's.
        let children = Command::new("pgrep").args(["-P", &id]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        for id in std::iter::once(id.as_str()).chain(children.split_whitespace()) {
            drop(Command::new("kill").args(["-s", signal, id]).stderr(Stdio::null()).status());
        }
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut server) = self.server.take() {
            let id = server.id().to_string();
            drop(Command::new("kill").args(["-s", signal, &id]).status());
            server.wait().unwrap();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.signal_all("CONT");
        }
        self.end("QUIT");
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// A program that runs as who may run PostgreSQL, and is told to end when the thread ends that started it.
fn owned(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((user, group)) = owner() {
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    }
    command.args(["--pdeathsig", "QUIT", "--", program]).env_clear().env("PATH", "/usr/bin:/bin");
    command
}
