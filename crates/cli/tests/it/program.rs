//! Runs the program, to its end or beside the test. Whatever is waited for has a deadline.

use std::fmt::{self, Write as _};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The program.
pub(crate) const PORTOLAN: &str = env!("CARGO_BIN_EXE_portolan");

/// Longer than anything may take, on a machine that does other things besides.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program with these arguments, and nothing of this environment that it would heed.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PORTOLAN);
    command
        .args(args)
        .env_remove("PORTOLAN_KEYS")
        .env_remove("PORTOLAN_LOG")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    // What it keeps is kept with the build, not among the things of whoever runs the tests.
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("STATE_DIRECTORY")
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// How a run ended. Its Debug form is for snapshots.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        writeln!(f, "exit: {code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "----- {name} -----")?;
                f.write_str(text)?;
                if !text.ends_with('\n') {
                    f.write_char('\n')?;
                }
            }
        }
        Ok(())
    }
}

/// Runs it to its end, without stdin.
pub(crate) fn run(args: &[&str]) -> Ended {
    finish(&mut command(args))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().unwrap();
    ended(output.status, &output.stdout, &output.stderr)
}

/// Runs it to its end with this on stdin.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Ended {
    finish_with_input(&mut command(args), input)
}

/// Runs a command to its end with this on stdin.
pub(crate) fn finish_with_input(command: &mut Command, input: &str) -> Ended {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    ended(output.status, &output.stdout, &output.stderr)
}

fn ended(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Compares how a run ended, without what differs from run to run.
macro_rules! assert_ended {
    ($ended:expr, @$expected:literal) => {
        $crate::program::settings().bind(|| {
            insta::assert_debug_snapshot!($ended, @$expected);
        })
    };
}
pub(crate) use assert_ended;

/// Takes out of snapshots what differs from run to run: ports, times, the path of the program.
pub(crate) fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME");
    settings.add_filter(&PORTOLAN.replace('.', r"\."), "portolan");
    settings.add_filter(r"/tmp/\.tmp\w+", "/tmp/DIR");
    settings.add_filter(r"date: [^\n]+", "date: DATE");
    settings
}

/// A run beside the test. It is killed when the test is done with it.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// The lines of a stream as they come.
pub(crate) struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { receiver, seen: Vec::new() }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> String {
        let Ok(line) = self.receiver.recv_timeout(DEADLINE) else {
            panic!("no line came; before that: {:#?}", self.seen);
        };
        self.seen.push(line.clone());
        line
    }

    /// The next line, of those that come until the end.
    pub(crate) fn last(&mut self) -> Option<String> {
        self.receiver.recv_timeout(DEADLINE).ok()
    }

    /// The next line that contains this text; those before it are passed over.
    pub(crate) fn find(&mut self, text: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Running {
    /// Starts it.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut command(args))
    }

    /// Starts a command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::read(child.stdout.take().unwrap());
        let stderr = Lines::read(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Closes its stdin.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the program ends", || {
            let ended = self.child.try_wait().unwrap();
            code = ended.and_then(|status| status.code());
            ended.is_some()
        });
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        // A pause between two looks at what nobody tells of; what is waited for is the condition.
        thread::sleep(Duration::from_millis(10));
    }
}

/// A reference server over HTTP, and its URL.
pub(crate) fn reference_server(era: &str) -> (Running, String) {
    let mut server = Running::start(&["reference-server", "--http", "127.0.0.1:0", "--era", era]);
    let url = server.stdout.next();
    (server, url)
}
