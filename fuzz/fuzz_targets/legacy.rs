//! Files of the layout before PyTorch 1.6, behind the magic number, which no fuzzer would find.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::check(&[b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", bytes].concat());
});
