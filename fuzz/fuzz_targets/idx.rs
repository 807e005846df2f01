#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for read in [wgrad::fuzzing::idx(bytes), wgrad::fuzzing::idx_gz(bytes)] {
        if let Ok((sizes, bytes)) = read {
            assert_eq!(sizes.iter().product::<usize>(), bytes.len());
        }
    }
});
