//! What is said again and again is said a number of times: whoever can cause a line, a client or a server, could else fill a disk.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// So many lines of one cause are written ...
const MOST: u32 = 100;
/// ... in so long.
const WITHIN: Duration = Duration::from_secs(10);

/// Where a line is written in the code, and of which server it is, so that one that says much does not silence the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cause(Identifier, u64);

#[derive(Debug)]
struct Window {
    began: Instant,
    written: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Written,
    /// It is not written, and the first one that is not.
    FirstLeftOut,
    LeftOut,
}

/// Leaves out what was said too often just now. What is asked for by a filter, `debug` and `trace`, is written however often.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<Cause, Window>>>);

impl Repeats {
    fn causes(&self) -> MutexGuard<'_, HashMap<Cause, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, cause: Cause, now: Instant) -> Verdict {
        let mut causes = self.causes();
        let fresh = Window { began: now, written: 0, left_out: 0 };
        let window = causes.entry(cause).or_insert(fresh);
        // One in which something was left out ends when that was said.
        if window.left_out == 0 && now.duration_since(window.began) >= WITHIN {
            (window.began, window.written) = (now, 0);
        }
        if window.written < MOST {
            window.written += 1;
            return Verdict::Written;
        }
        window.left_out += 1;
        if window.left_out == 1 { Verdict::FirstLeftOut } else { Verdict::LeftOut }
    }

    /// How many were left out; from now on they are written again.
    fn over(&self, cause: &Cause) -> u64 {
        self.causes().remove(cause).map_or(0, |window| window.left_out)
    }

    /// Says at the end of the time how many were left out. It is not left to the next line, which may never come.
    fn say_later(&self, cause: &Cause, target: &'static str, line: Option<u32>) {
        let (repeats, of) = (self.clone(), cause.clone());
        let begun = thread::Builder::new().name("log".to_owned()).spawn(move || {
            thread::sleep(WITHIN);
            repeats.say(&of, target, line);
        });
        if begun.is_err() {
            // Nobody would end it.
            self.over(cause);
        }
    }

    fn say(&self, cause: &Cause, target: &str, line: Option<u32>) {
        let left_out = self.over(cause);
        let line = line.unwrap_or_default();
        tracing::warn!(
            left_out,
            of = target,
            line,
            "left out lines that only repeat what {MOST} others said"
        );
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut of = Of(0);
        event.record(&mut of);
        let cause = Cause(metadata.callsite(), of.0);
        match self.judge(cause.clone(), Instant::now()) {
            Verdict::Written => true,
            Verdict::FirstLeftOut => {
                self.say_later(&cause, metadata.target(), metadata.line());
                false
            }
            Verdict::LeftOut => false,
        }
    }
}

/// Which server a line is of: those are as many as are configured.
struct Of(u64);

impl Visit for Of {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "upstream" {
            let mut hasher = DefaultHasher::new();
            format!("{value:?}").hash(&mut hasher);
            self.0 = hasher.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn with(&self, text: &str) -> usize {
            String::from_utf8(self.0.lock().unwrap().clone())
                .unwrap()
                .lines()
                .filter(|line| line.contains(text))
                .count()
        }
    }

    #[test]
    fn what_is_said_too_often_is_counted_and_silences_nothing_else() {
        let (repeats, lines) = (Repeats::default(), Lines::default());
        let to = lines.clone();
        let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry().with(repeats.clone()).with(log);
        let said = || {
            for n in 0..100_000 {
                tracing::warn!(n, "a client sent nonsense");
            }
            for upstream in ["a", "b"] {
                for _ in 0..70 {
                    tracing::info!(upstream, "a server is odd");
                }
            }
        };
        tracing::subscriber::with_default(subscriber, || {
            said();
            assert_eq!((lines.with("nonsense"), lines.with("odd")), (100, 140));
            let causes: Vec<Cause> = repeats.causes().keys().cloned().collect();
            assert_eq!(causes.len(), 3);
            for cause in causes {
                let left_out = repeats.causes()[&cause].left_out;
                if left_out > 0 {
                    assert_eq!(left_out, 99_900);
                    repeats.say(&cause, "here", Some(7));
                }
            }
            assert_eq!(lines.with("left_out=99900 of=\"here\" line=7"), 1);
            // It was said, and so it may be said again.
            said();
            assert_eq!(lines.with("nonsense"), 200);
        });
    }

    #[test]
    fn what_is_said_now_and_then_is_always_written() {
        let repeats = Repeats::default();
        let subscriber = tracing_subscriber::registry().with(repeats.clone());
        tracing::subscriber::with_default(subscriber, || tracing::error!("now and then"));
        let cause = repeats.causes().keys().next().cloned().unwrap();
        let mut now = Instant::now();
        for _ in 0..10 {
            for _ in 0..MOST - 1 {
                assert_eq!(repeats.judge(cause.clone(), now), Verdict::Written);
            }
            now += WITHIN + WITHIN;
        }
    }
}
