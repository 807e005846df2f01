//! What every file of tensors must hold to, once it has been read.

use wgrad::io::TensorFile;

pub fn check(bytes: &[u8]) {
    let Ok(file) = TensorFile::from_bytes("fuzzed", bytes) else { return };
    let numbers: usize = file.iter().map(|(_, tensor)| tensor.data.len()).sum();
    assert!(numbers <= 2 * bytes.len() + (1 << 16), "{numbers} numbers out of {} bytes", bytes.len());
    for (name, tensor) in file.iter() {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{name}");
    }
    // What was read can be written, and is then what was read.
    let written = file.to_bytes().expect("what was read can be written");
    let again = TensorFile::from_bytes("written", &written).expect("what was written can be read");
    assert_eq!(again.to_bytes().expect("what was read can be written"), written);
    let _ = wgrad::fuzzing::weights(file);
}
