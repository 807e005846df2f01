//! Files that PyTorch wrote (tests/goldens/make.py), files that lie, and damage.

use super::*;
use proptest::prelude::*;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::io::Write;

macro_rules! golden {
    ($name:literal) => {
        &include_bytes!(concat!("../../../tests/goldens/pth/", $name))[..]
    };
}

fn load(bytes: &[u8]) -> TensorFile {
    TensorFile::from_bytes("f.pth", bytes).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn fails(bytes: &[u8], says: &str) {
    let Err(error) = TensorFile::from_bytes("f.pth", bytes) else { panic!("expected: {says}") };
    assert!(matches!(error, Error::Format { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("f.pth: ") && text.contains(says), "{says}: {text}");
}

#[test]
fn views_have_the_numbers_that_pytorch_sees() {
    let expected: serde_json::Value = serde_json::from_slice(golden!("views.json")).unwrap();
    let expected = expected.as_object().unwrap();
    for bytes in [golden!("views.pth"), golden!("views.legacy.pth")] {
        let file = load(bytes);
        assert_eq!(file.names().count(), expected.len());
        for (name, tensor) in file.iter() {
            let found = serde_json::json!({"shape": tensor.shape, "data": tensor.data});
            let numbers = |value: &serde_json::Value| {
                value["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect::<Vec<_>>()
            };
            assert_eq!(found["shape"], expected[name]["shape"], "{name}");
            assert_eq!(numbers(&found), numbers(&expected[name]), "{name}");
        }
        let unread: Vec<_> = file.unread().collect();
        assert_eq!(
            unread,
            [
                ("complex", "ComplexFloat"),
                ("flags", "BOOL"),
                ("int64", "I64"),
                ("sparse", "_rebuild_sparse_tensor"),
                ("uint16", "uint16")
            ]
        );
        assert!(file.get("int64").unwrap_err().to_string().contains("tensor `int64` is I64, expected F32"));
    }
}

#[test]
fn weights_are_found_in_a_checkpoint() {
    for bytes in [golden!("checkpoint.pth"), golden!("checkpoint.legacy.pth"), golden!("protocol4.pth")] {
        let file = load(bytes);
        let names: Vec<_> = file.names().collect();
        assert_eq!(
            names,
            ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight", "conv.weight", "fc.bias", "fc.weight"]
        );
        assert_eq!(file.unread().collect::<Vec<_>>(), [("bn.num_batches_tracked", "I64")]);
        let conv = file.get("conv.weight").unwrap();
        assert_eq!(conv.shape, [3, 2, 3, 3]);
        assert!(conv.data.iter().zip(0..).all(|(&number, index)| number == index as f32 / 16.0));
        assert!(file.metadata.is_empty());
    }
}

#[test]
fn other_content_is_named() {
    fails(golden!("module.pth"), "it holds an object made by __main__.TwoLayers in place of a dictionary of tensors");
    fails(b"\x80\x04]\x94.       ", "a pickle, but not one that torch.save wrote");
    fails(b"PK\x05\x06", "the zip archive is damaged or cut off");
    fails(&zip(&[("a/b.txt", b"x")]), "no data.pkl");
    fails(&zip(&[("a/data.pkl", b"N."), ("a/constants.pkl", b"N.")]), "TorchScript");
    fails(&zip(&[("a/data.pkl", b"N."), ("a/byteorder", b"big")]), "big-endian");
    fails(&zip(&[("a/data.pkl", b"N.")]), "it holds None");
    fails(&zip(&[("a/data.pkl", b"}U\x05epochK\x01s.")]), "no tensors in the dictionary that it holds (keys: epoch)");
    fails(&zip(&[("a/data.pkl", b"]")]), "data.pkl: the pickle is cut off at offset 1");
    fails(&zip(&[("a/data.pkl", b"N."), ("a/data.pkl", b"N.")]), "two entries a/data.pkl");
    // A dictionary that holds itself as its state_dict.
    fails(&zip(&[("a/data.pkl", b"}q\0U\x0astate_dicth\0s.")]), "it holds a dictionary in place of");
}

#[test]
fn headers_of_safetensors_are_not_taken_for_pickles() {
    for length in [0x0280_u64, 0x0001_0280] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        bytes.resize(8 + length as usize, b' ');
        assert_eq!(load(&bytes).names().count(), 0);
    }
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, content) in entries {
        let (mut entry, config) = archive.new_file(name).compression_method(CompressionMethod::STORE).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// A state_dict of one tensor `w` of a storage that should have `elements`; numbers are below 256 or sizes of 2^56 and
/// so on (a byte and how many zero bytes follow it).
fn one(kind: &str, elements: u8, offset: u8, shape: &[(u8, usize)], strides: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\n".to_vec();
    pickle.extend([kind.as_bytes(), b"\nU\x010U\x03cpuK", &[elements], b"tQK", &[offset], b"("].concat());
    for &(byte, zeros) in shape {
        pickle.extend([0x8a, 1 + zeros as u8]);
        pickle.extend(std::iter::repeat_n(0, zeros).chain([byte]));
    }
    pickle.extend(b"t(");
    strides.iter().for_each(|&stride| pickle.extend([b'K', stride]));
    pickle.extend(b"t\x89}tRs.");
    pickle
}

#[test]
fn tensors_that_lie_are_refused() {
    let file = |pickle: &[u8], storage: &[u8]| zip(&[("a/data.pkl", pickle), ("a/data/0", storage)]);
    let f32s = |count: usize| [0, 0, 0x80, 0x3f].repeat(count);
    let good = load(&file(&one("FloatStorage", 6, 0, &[(2, 0), (3, 0)], &[3, 1]), &f32s(6)));
    assert_eq!(good.get("w").unwrap().data, [1.0; 6]);

    let wrong = |pickle: &[u8], count: usize, says: &str| fails(&file(pickle, &f32s(count)), says);
    let whole = one("FloatStorage", 6, 0, &[(2, 0), (3, 0)], &[3, 1]);
    wrong(&whole, 5, "tensor `w`: storage 0 should hold 6 numbers of F32, but has 20 bytes");
    wrong(&whole, 7, "should hold 6 numbers of F32, but has 28 bytes");
    fails(&zip(&[("a/data.pkl", &whole)]), "tensor `w`: the archive has no entry a/data/0");
    fails(&zip(&[("b/data.pkl", &whole), ("a/data/0", &f32s(6))]), "no entry b/data/0");
    wrong(&one("FloatStorage", 6, 1, &[(2, 0), (3, 0)], &[3, 1]), 6, "reach beyond its storage of 6 numbers");
    wrong(&one("FloatStorage", 6, 0, &[(2, 0), (3, 0)], &[4, 1]), 6, "reach beyond its storage of 6 numbers");
    wrong(&one("FloatStorage", 6, 0, &[(7, 0)], &[1]), 6, "reach beyond");
    wrong(&one("FloatStorage", 6, 6, &[], &[]), 6, "reach beyond");
    wrong(&one("FloatStorage", 6, 0, &[(2, 0)], &[3, 1]), 6, "offset, shape or strides cannot be read");
    wrong(&one("FloatStorage", 6, 0, &[(0xff, 0)], &[1]), 6, "offset, shape or strides cannot be read");
    wrong(&one("FloatStorage", 6, 0, &[(1, 0); 65], &[1; 65]), 6, "offset, shape or strides cannot be read");
    wrong(&one("FloatStorage", 6, 0, &[(1, 7), (1, 7)], &[0, 0]), 6, "is too large");
    // Strides of 0: a terabyte out of one number.
    wrong(&one("FloatStorage", 1, 0, &[(1, 5)], &[0]), 1, "many times larger than the file");
    assert_eq!(load(&file(&one("FloatStorage", 1, 0, &[(100, 0)], &[0]), &f32s(1))).get("w").unwrap().data.len(), 100);
    assert_eq!(
        load(&file(&one("QUInt4Storage", 1, 0, &[(1, 0)], &[0]), &f32s(1))).unread().next(),
        Some(("w", "QUInt4"))
    );
}

#[test]
fn archives_that_lie_are_refused() {
    let good = golden!("small.pth").to_vec();
    assert_eq!(load(&good).names().collect::<Vec<_>>(), ["bias", "weight"]);
    // The method and the sizes of each entry in the directory.
    let directory: Vec<usize> = (0..good.len() - 4).filter(|&at| good[at..].starts_with(b"PK\x01\x02")).collect();
    for &at in &directory {
        let name = &good[at + 46..][..usize::from(good[at + 28])];
        let is_read =
            name.ends_with(b"data.pkl") || name.ends_with(b"byteorder") || name.windows(6).any(|w| w == b"/data/");
        for (field, value) in [(10, 8), (20, 0xff), (23, 0xff), (24, 0xff), (16, 0x55), (45, 0x7f)] {
            let mut bytes = good.clone();
            bytes[at + field] ^= value;
            let result = TensorFile::from_bytes("f", &bytes);
            assert_eq!(result.is_err(), is_read, "{} {field}", name.escape_ascii());
        }
        // Checksums that were not computed.
        let mut bytes = good.clone();
        bytes[at + 16..at + 20].fill(0);
        load(&bytes);
    }
    let mut packed = good.clone();
    packed[directory[0] + 10] = 8;
    fails(&packed, "entry small/data.pkl is packed");
    let flipped = good.windows(4).position(|bytes| bytes == (5.0_f32 / 16.0).to_le_bytes()).unwrap();
    let mut bytes = good;
    bytes[flipped] ^= 1;
    fails(&bytes, "its checksum is wrong");
}

#[test]
fn cut_off_anywhere_is_an_error() {
    for whole in
        [golden!("small.pth"), golden!("small.legacy.pth"), golden!("views.pth"), golden!("checkpoint.legacy.pth")]
    {
        for end in 0..whole.len() {
            let error = TensorFile::from_bytes("f", &whole[..end]).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{end}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage gives an error or tensors that hold together, never a panic.
    #[test]
    fn damage_never_panics(
        which in 0..5_usize,
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, prop::collection::vec(any::<u8>(), 0..6)), 1..4),
        unchecked in any::<bool>(),
    ) {
        let files = [
            golden!("small.pth"), golden!("views.pth"), golden!("checkpoint.legacy.pth"), golden!("views.legacy.pth"),
            golden!("protocol4.pth"),
        ];
        let mut bytes = files[which].to_vec();
        // Else most damage stops at a checksum and never reaches what lies behind.
        if unchecked {
            for at in 0..bytes.len() - 20 {
                if bytes[at..].starts_with(b"PK\x01\x02") {
                    bytes[at + 16..at + 20].fill(0);
                }
            }
        }
        for (place, removed, added) in damages {
            let place = place.index(bytes.len());
            // Mostly of the same length: offsets in the archive stay as they were.
            let end = if unchecked { place + added.len() } else { place + removed };
            bytes.splice(place..end.min(bytes.len()), added);
        }
        if let Ok(file) = TensorFile::from_bytes("f", &bytes) {
            prop_assert!(file.iter().all(|(_, t)| t.shape.iter().product::<usize>() == t.data.len()));
            prop_assert!(file.to_bytes().is_ok());
        }
    }
}
