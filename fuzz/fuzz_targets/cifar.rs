#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (fine, classes, before) in [(false, 10, 1), (true, 100, 2)] {
        if let Ok((pixels, labels)) = wgrad::fuzzing::cifar(fine, bytes) {
            assert_eq!((pixels.len(), bytes.len()), (3072 * labels.len(), (3072 + before) * labels.len()));
            assert!(labels.iter().all(|label| *label < classes));
        }
    }
});
