use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{LocalSet, yield_now};
use tokio::time::advance;

use super::*;

/// Has always more to give, and takes whatever it is given.
#[derive(Default)]
struct Endless {
    taken: Vec<u8>,
}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.initialize_unfilled();
        buffer.advance(buffer.remaining());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.taken.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        bytes.iter().for_each(|part| self.taken.extend_from_slice(part));
        Poll::Ready(Ok(bytes.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const BUFFER: usize = 16 * 1024;

/// Reads so many bytes, and notes each.
async fn read(mut io: Turns<Endless>, bytes: usize, moved: Rc<Cell<usize>>) {
    let mut buffer = vec![0; BUFFER];
    for _ in 0..bytes / BUFFER {
        io.read_exact(&mut buffer).await.unwrap();
        moved.set(moved.get() + BUFFER);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_little_waits_for_one_turn_of_those_who_want_much() {
    let moved = Rc::new(Cell::new(0));
    let local = LocalSet::new();
    let (many, all) = (40, 4 * 1024 * 1024);
    for _ in 0..many {
        local.spawn_local(read(Turns::new(Endless::default()), all, Rc::clone(&moved)));
    }
    let mut first = true;
    local
        .run_until(async {
            while moved.get() < many * all {
                let before = moved.get();
                yield_now().await;
                // What nobody can know beforehand is who will want much.
                let most = if std::mem::take(&mut first) { many } else { 2 };
                assert!(moved.get() - before <= most * MUCH, "{} bytes in between", moved.get() - before);
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn all_of_a_line_come_to_their_turn_though_some_have_gone() {
    let moved = Rc::new(Cell::new(0));
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..9)
        .map(|_| local.spawn_local(read(Turns::new(Endless::default()), 1024 * 1024, Rc::clone(&moved))))
        .collect();
    local
        .run_until(async {
            yield_now().await;
            tasks.iter().step_by(3).for_each(tokio::task::JoinHandle::abort);
            let mut done = 0;
            for task in tasks {
                done += usize::from(task.await.is_ok());
            }
            assert_eq!(done, 6);
            // And one who comes when the line was left.
            read(Turns::new(Endless::default()), 1024 * 1024, moved).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_moves_much_slowly_never_stands_in_line() {
    let mut io = Turns::new(Endless::default());
    let mut buffer = vec![0; MUCH];
    for _ in 0..20 {
        let mut room = ReadBuf::new(&mut buffer);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_read(cx, &mut room).is_ready())).await;
        assert!(read);
        advance(SLOWLY).await;
    }
    // One who does not is told to wait.
    let mut waited = false;
    for _ in 0..3 {
        let mut room = ReadBuf::new(&mut buffer);
        waited |= poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_read(cx, &mut room).is_pending())).await;
    }
    assert!(waited);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_of_what_is_written_in_parts() {
    let lengths = [0, 1, 5000, MUCH - 1, MUCH, MUCH + 1, 3 * MUCH + 7];
    for first in lengths {
        for second in lengths {
            let texts: Vec<Vec<u8>> = [first, second, 3]
                .into_iter()
                .map(|length| (0..length).map(|n| n.to_le_bytes()[0]).collect())
                .collect();
            let mut io = Turns::new(Endless::default());
            let mut slices: Vec<_> = texts.iter().map(|text| IoSlice::new(text)).collect();
            let mut left = &mut slices[..];
            while left.iter().any(|part| !part.is_empty()) {
                let written = io.write_vectored(left).await.unwrap();
                assert!(written > 0 && written <= MUCH, "{written}");
                IoSlice::advance_slices(&mut left, written);
            }
            assert!(io.io.taken == texts.concat(), "{first}, {second}");
            let mut io = Turns::new(Endless::default());
            io.write_all(&texts[0]).await.unwrap();
            assert!(io.io.taken == texts[0], "{first}");
        }
    }
}

/// One that has moved so much that its next turn comes by the line, and the room it reads into.
async fn heavy(part: usize) -> (Turns<Endless>, Vec<u8>) {
    let (mut io, mut buffer) = (Turns::new(Endless::default()), vec![0; part]);
    for _ in 0..MUCH / part {
        io.read_exact(&mut buffer).await.unwrap();
    }
    (io, buffer)
}

fn poll(io: &mut Turns<Endless>, buffer: &mut [u8], cx: &mut Context<'_>) -> bool {
    Pin::new(io).poll_read(cx, &mut ReadBuf::new(buffer)).is_ready()
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_is_told_what_the_socket_says() {
    let (mut io, mut buffer) = heavy(BUFFER).await;
    assert!(poll(&mut io, &mut buffer, &mut Context::from_waker(Waker::noop())));
    assert!(!poll_fn(|cx| Poll::Ready(poll(&mut io, &mut buffer, cx))).await);
    // Also while it stands in line already.
    assert!(poll(&mut io, &mut buffer, &mut Context::from_waker(Waker::noop())));
    // Whoever waits there has its turn all the same.
    io.read_exact(&mut buffer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_small_messages_never_stand_in_line() {
    let (mut io, mut buffer) = heavy(1024).await;
    for _ in 0..1000 {
        assert!(poll_fn(|cx| Poll::Ready(poll(&mut io, &mut buffer, cx))).await);
    }
}

#[test]
fn a_runtime_that_has_ended_holds_up_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let line = Arc::new(Line::default());
    line.join(Ticket::of(Waker::noop()), &handle);
    line.join(Ticket::of(Waker::noop()), &handle);
    assert!(!line.0.lock().unwrap().attended);
}
