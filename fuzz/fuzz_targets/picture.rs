#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for shape in [[3, 8, 5], [1, 5, 8]] {
        if let Ok(pixels) = wgrad::fuzzing::picture(bytes, shape) {
            assert_eq!(pixels.len(), 3 * 40 / [1, 3][usize::from(shape[0] == 1)]);
        }
    }
});
