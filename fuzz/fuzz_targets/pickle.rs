//! The pickle inside of an archive whose directory, sizes and checksums are right; two storages are there.

#![no_main]

mod common;

use rawzip::ZipArchiveWriter;
use std::io::Write;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, content) in [("a/data.pkl", bytes), ("a/data/0", &[1; 24]), ("a/data/1", &[2; 12])] {
        let (mut entry, config) = archive.new_file(name).start().expect("memory");
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).expect("memory");
        let (_, descriptor) = writer.finish().expect("memory");
        entry.finish(descriptor).expect("memory");
    }
    common::check(&archive.finish().expect("memory"));
});
