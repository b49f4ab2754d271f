//! A scripted server over HTTP/1.1.

use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use transport::net::{Address, BoxIo, Network};

use super::asked::To;
use super::{Asked, ScriptedServer, Seen};
use crate::http::{Framing, Reader};

impl ScriptedServer {
    /// Serves at an address; says which it is, with the real port.
    pub async fn serve_http(&self, network: &dyn Network, address: &Address) -> Address {
        let mut listener = network.bind(address).await.expect("an address that is free");
        let (bound, server) = (listener.local(), self.clone());
        tokio::spawn(async move {
            while let Ok((accepted, _)) = listener.accept().await {
                let Ok(io) = accepted.open() else { continue };
                let server = server.clone();
                let down = server.down();
                tokio::spawn(async move {
                    tokio::select! {
                        () = server.converse(io) => {}
                        () = down.cancelled() => {}
                    }
                });
            }
        });
        bound
    }

    /// Reads the requests of one connection, one after the other.
    async fn converse(self, io: BoxIo) {
        let connection = self.count_connection();
        let (read, mut write) = tokio::io::split(io);
        let mut reader = Reader::new(read);
        while let Ok(Some(head)) = reader.head().await {
            let Ok(body) = reader.body(head.framing(Framing::Length(0))).await else { return };
            let line = head.start.trim_end_matches(" HTTP/1.1").to_owned();
            let seen = Seen { line, headers: head.headers, body, connection };
            match self.answer_over(seen, &mut reader, write).await {
                Some(back) => write = back,
                None => return,
            }
        }
    }

    /// Has one request answered while watching whether the client goes away.
    async fn answer_over(
        &self,
        seen: Seen,
        reader: &mut Reader<ReadHalf<BoxIo>>,
        write: WriteHalf<BoxIo>,
    ) -> Option<WriteHalf<BoxIo>> {
        let scripted = self.persona().scripted.contains(&seen.method());
        let sse = self.persona().sse.clone().filter(|_| !scripted);
        if let Some(sse) = sse {
            return self.answer_over_sse(seen, sse, reader, write).await;
        }
        let (back, mut answered) = oneshot::channel();
        let gone = CancellationToken::new();
        let style = self.persona().style;
        self.take(Asked { seen, to: To::Http { write, back }, gone: gone.clone(), style });
        loop {
            tokio::select! {
                write = &mut answered => return write.ok(),
                read = reader.fill() => if !read.is_ok_and(|read| read > 0) {
                    gone.cancel();
                    return None;
                },
            }
        }
    }
}
