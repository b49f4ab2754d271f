//! A disk that is really full, and one that is really read-only: small ones in memory, where the system lets us have one.

use std::path::{Path, PathBuf};
use std::process::Command;

use base::sink::{Accept, Sink as _};
use ledger::Ground;

use crate::endings::soon;
use crate::stand::{Stand, call, facts};

/// A file system in memory, for as long as it is held.
struct Small(PathBuf);

impl Small {
    /// Nothing where that is not for us to have.
    fn of(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let small = Self(path.to_owned());
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"], path).then_some(small)
    }

    fn remount(&self, options: &str) -> bool {
        mount(&["-o", &format!("remount,{options}")], &self.0)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Nobody hears whether that worked.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

fn mount(args: &[&str], path: &Path) -> bool {
    Command::new("mount").args(args).arg(path).output().is_ok_and(|mounted| mounted.status.success())
}

#[tokio::test]
async fn a_disk_that_is_full_is_waited_for() {
    let mut stand = Stand::new();
    stand.plan.segment_bytes = 1024 * 1024;
    let Some(small) = Small::of(stand.directory(), "128k") else {
        eprintln!("no file system may be mounted here: nothing was filled");
        return;
    };
    let ledger = stand.open("one");
    let mut number = 0;
    let waiting = loop {
        number += 1;
        let Accept::Later(mut taken) = ledger.accept(&facts(number)) else {
            panic!("it is to be waited for")
        };
        let full = async {
            while ledger.amiss().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = &mut taken => done.unwrap(),
            () = full => break taken,
        }
    };
    assert!(number > 50, "{number}");
    assert!(ledger.amiss().unwrap().contains("No space left"), "{:?}", ledger.amiss());
    assert!(ledger.refuse());
    assert!(small.remount("size=4m"));
    waiting.await.unwrap();
    soon(|| ledger.amiss().is_none()).await;
    call(&ledger, 0).await;
    ledger.close().await;
    assert_eq!(stand.bad(), None);
    let text = stand.text();
    for number in 0..=number {
        assert!(text.contains(&format!("alice-{number}\\\"")), "{number} was accepted");
    }
    assert!(text.contains("\"lost\":0,\"refused\":1,"));
}

#[tokio::test]
async fn on_a_disk_that_is_read_only_nobody_begins() {
    let stand = Stand::new();
    let Some(small) = Small::of(stand.directory(), "1m") else {
        eprintln!("no file system may be mounted here: nothing was read-only");
        return;
    };
    stand.session("one", 3).await;
    assert!(small.remount("ro"));
    assert!(stand.try_open_on("one", Ground::default()).is_none());
    assert_eq!(stand.bad(), None, "and it can be verified");
    assert!(small.remount("rw"));
    stand.session("one", 3).await;
    assert_eq!(stand.bad(), None);
}
