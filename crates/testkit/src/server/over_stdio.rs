//! A scripted server as a process.

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::asked::To;
use super::{Asked, ScriptedServer, Seen, Style};
use crate::spawn::{MemorySpawn, Stdio};

impl ScriptedServer {
    /// Makes it a program: each process of it answers as this server does, until its input ends or the server crashes.
    pub fn program(&self, spawn: &MemorySpawn, name: &str) {
        let server = self.clone();
        spawn.program(name, move |stdio| {
            let server = server.clone();
            async move {
                let down = server.down();
                tokio::select! {
                    () = server.live(stdio) => 0,
                    () = down.cancelled() => 1,
                }
            }
        });
    }

    async fn live(self, stdio: Stdio) {
        let connection = self.count_connection();
        let gone = CancellationToken::new();
        let _ends = gone.clone().drop_guard();
        let (out, lines) = mpsc::unbounded_channel();
        tokio::spawn(write_lines(stdio.stdout, lines, gone.clone()));
        let mut input = BufReader::new(stdio.stdin);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let body = Bytes::copy_from_slice(text);
            line.clear();
            let seen = Seen { line: "line".to_owned(), headers: Vec::new(), body, connection };
            self.take(Asked { seen, to: To::Pipe(out.clone()), gone: gone.clone(), style: Style::Json });
        }
    }
}

async fn write_lines(
    mut stdout: DuplexStream,
    mut lines: mpsc::UnboundedReceiver<Bytes>,
    gone: CancellationToken,
) {
    let write = async {
        while let Some(line) = lines.recv().await {
            stdout.write_all(&line).await?;
            stdout.write_all(b"\n").await?;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        // That nobody reads any more is seen by the input's end.
        written = write => drop(written),
        () = gone.cancelled() => {}
    }
}
