//! Fuzz targets: `cargo +nightly fuzz run NAME`. The bodies are in [`targets`], which stable tests replay the corpora with.

pub mod targets;
