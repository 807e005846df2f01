//! Whole, damaged and lying IDX files.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use proptest::prelude::*;

use super::*;

/// Two images of 1x3.
const GOOD: [u8; 22] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn text(bytes: &[u8]) -> String {
    let error = read_bytes("file", bytes).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error}");
    error.to_string()
}

fn with(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = GOOD.to_vec();
    bytes[at] = byte;
    bytes
}

#[test]
fn plain_and_packed_files_read_alike() {
    let expected = ([2, 1, 3], vec![1, 2, 3, 4, 5, 6]);
    assert_eq!(read_bytes("file", &GOOD).unwrap(), expected);
    assert_eq!(read_bytes("file.gz", &gzip(&GOOD)).unwrap(), expected);
}

#[test]
fn cut_off_anywhere_is_an_error_with_both_lengths() {
    for end in 0..GOOD.len() {
        let says = text(&GOOD[..end]);
        let expected = if end < 16 { "expected 16 bytes" } else { "expected 22 bytes" };
        assert!(says.contains(expected) && says.contains(&format!("ends at offset {end};")), "{says}");
    }
    let packed = gzip(&GOOD);
    for end in 0..packed.len() {
        let error = read_bytes("file.gz", &packed[..end]).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
    }
}

#[test]
fn damaged_gzip_is_an_error() {
    let mut packed = gzip(&GOOD);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    assert!(read_bytes("file.gz", &packed).unwrap_err().to_string().contains("gzip data is damaged"));
    assert!(read_bytes("file.gz", &GOOD).unwrap_err().to_string().contains("gzip data is damaged"));
}

#[test]
fn headers_that_lie_are_refused() {
    assert!(text(&with(3, 1)).contains("0x00000801 at offset 0, expected 0x00000803"));
    assert!(text(&with(2, 13)).contains("0x00000d03 at offset 0"));
    assert!(text(&with(7, 0)).contains("size 0 of dimension 0 at offset 4"));
    assert!(text(&with(15, 0)).contains("size 0 of dimension 2 at offset 12"));
    assert!(text(&[&GOOD[..], &[7]].concat()).contains("more bytes follow at offset 22"));
    let mut huge = GOOD;
    huge[4..16].fill(255);
    assert!(text(&huge).contains("sizes [4294967295, 4294967295, 4294967295] at offset 4"));
    // 2^31 * 2^31 * 4 wraps around to 0 in 64 bits.
    huge[4..16].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 4]);
    assert!(text(&huge).contains("make more than 2147483648 bytes"));
    assert!(text(&with(5, 255)).contains("expected 50135062 bytes, but it ends at offset 22"));
    assert!(text(&with(4, 64)).contains("make more than 2147483648 bytes"));
}

/// A gzip bomb: the source would deliver without end, but is asked for one byte more than the header says.
#[test]
fn reading_stops_one_byte_after_the_expected_end() {
    let mut source = GOOD.chain(io::repeat(0)).take(u64::MAX);
    let error = parse::<3>(Path::new("bomb"), &mut source).unwrap_err();
    assert!(error.to_string().contains("more bytes follow at offset 22"), "{error}");
    assert_eq!(u64::MAX - source.limit(), 23);
}

#[test]
fn a_folder_in_place_of_the_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read::<3>(dir.path()), Err(Error::Io { action: "read", .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage gives an error or as many bytes as the sizes say, never a panic.
    #[test]
    fn damage_never_panics(
        packed in any::<bool>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..4)), 1..4),
    ) {
        let mut bytes = if packed { gzip(&GOOD) } else { GOOD.to_vec() };
        for (place, removed, added) in damages {
            let place = place.index(bytes.len().max(1)).min(bytes.len());
            bytes.splice(place..(place + removed).min(bytes.len()), added);
        }
        let read = match packed {
            true => parse::<3>(Path::new("f"), MultiGzDecoder::new(&bytes[..])),
            false => parse::<3>(Path::new("f"), &bytes[..]),
        };
        if let Ok((sizes, bytes)) = read {
            prop_assert_eq!(sizes.iter().product::<usize>(), bytes.len());
        }
    }
}
