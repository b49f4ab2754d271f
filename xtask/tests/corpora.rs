//! Replays the fuzz corpora on stable, so that what a fuzzer once found stays found. The bodies are the fuzzers' own.
#![expect(clippy::expect_used, clippy::panic, reason = "the bodies are outside any test function")]

use std::path::Path;

#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it from their own crate")]
mod targets;

#[test]
fn every_input_that_was_ever_kept_is_handled() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let replayed = std::panic::catch_unwind(|| target(&data));
            assert!(replayed.is_ok(), "{}", path.display());
            count += 1;
        }
        assert!(count > 10, "{name} has only {count} inputs");
    }
}

/// What was kept for others is JSON or nearly so, and a byte more or less or another makes it nearly JSON in another way.
#[test]
fn whatever_is_kept_is_read_as_serde_json_reads_it() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let inputs = targets::TARGETS.iter().flat_map(|(name, _)| std::fs::read_dir(corpora.join(name)).unwrap());
    for path in inputs.map(|entry| entry.unwrap().path()) {
        let data = std::fs::read(&path).unwrap();
        let step = (data.len() / 40).max(1);
        for at in (0..data.len()).step_by(step) {
            let (before, after) = data.split_at(at);
            let others = b"\"\\{}[],:0 u".map(|byte| [before, &[byte], &after[1..]].concat());
            for changed in [before.to_vec(), [before, &after[1..]].concat()].into_iter().chain(others) {
                let read = std::panic::catch_unwind(|| targets::json(&changed));
                assert!(
                    read.is_ok(),
                    "{}, changed at {at}: {}",
                    path.display(),
                    String::from_utf8_lossy(&changed)
                );
            }
        }
    }
}
