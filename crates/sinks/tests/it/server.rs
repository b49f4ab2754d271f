//! A receiver that speaks HTTP, written by hand: it answers as the test says, and tells what came.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Came {
    /// The places of the records in its body, in their order.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.body
            .split("\"seq\":")
            .skip(1)
            .map(|rest| rest.split(',').next().unwrap().parse().unwrap())
            .collect()
    }
}

type Answers = Box<dyn FnMut(&Came) -> (u16, String) + Send>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    came: Receiver<Came>,
    answers: Arc<Mutex<Answers>>,
}

impl Server {
    pub(crate) fn new(answers: impl FnMut(&Came) -> (u16, String) + Send + 'static) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    pub(crate) fn at(
        listener: TcpListener,
        answers: impl FnMut(&Came) -> (u16, String) + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (tells, came) = channel();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(answers)));
        let given = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (tells, answers) = (tells.clone(), Arc::clone(&given));
                thread::spawn(move || serve(&stream.unwrap(), &tells, &answers));
            }
        });
        Self { address, came, answers }
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, answers: impl FnMut(&Came) -> (u16, String) + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    pub(crate) fn next(&self) -> Came {
        self.came.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_late| panic!("nothing came"))
    }

    /// Whether another one has come.
    pub(crate) fn came_by_now(&self) -> bool {
        self.came.try_recv().is_ok()
    }

    /// Requests until somebody has seen enough.
    pub(crate) fn until(&self, mut enough: impl FnMut(&Came) -> bool) {
        while !enough(&self.next()) {}
    }
}

fn serve(mut stream: &TcpStream, tells: &Sender<Came>, answers: &Mutex<Answers>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body: Vec<u8> = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let came = Came { path, headers: head, body: String::from_utf8_lossy(&body).into_owned() };
        let (status, text) = (answers.lock().unwrap())(&came);
        let _gone = tells.send(came);
        // A connection that ends without an answer.
        if status == 0 {
            return;
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or(("", &text));
        let more = if head.is_empty() { String::new() } else { format!("{head}\r\n") };
        let answer = format!("HTTP/1.1 {status} x\r\n{more}content-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
