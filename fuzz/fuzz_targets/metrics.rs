#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = wgrad::fuzzing::metrics(bytes);
});
