//! Any schema, and any value held against it.
#![no_main]

#[path = "../drive.rs"]
#[allow(dead_code)] // each target drives one half
mod drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::schema(bytes));
