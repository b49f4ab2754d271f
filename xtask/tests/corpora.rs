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
