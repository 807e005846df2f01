//! Files that lie, and random damage.

use proptest::prelude::*;

use crate::Error;
use crate::io::TensorFile;
use crate::io::tensors::tests::example;

/// A file of this header, not padded, and as many zero bytes.
fn file(header: &str, length: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; length]].concat()
}

fn text(bytes: &[u8]) -> String {
    let error = TensorFile::from_bytes("f", bytes).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error}");
    error.to_string()
}

#[test]
fn headers_that_lie_are_refused() {
    let f32s = |name: &str, shape: &str, offsets: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one = |shape: &str, offsets: &str| format!("{{{}}}", f32s("w", shape, offsets));
    assert!(TensorFile::from_bytes("f", &file(&one("[2]", "[0,8]"), 8)).is_ok());

    assert!(text(b"1234567").contains("7 bytes are too few"));
    assert!(text(&u64::MAX.to_le_bytes()).contains("header length 18446744073709551615 at offset 0"));
    assert!(text(&99_u64.to_le_bytes()).contains("a header of 99 bytes at offset 8, but the file ends at offset 8"));
    for no_json in ["", "{", "[]", "{} x", "\u{0}"] {
        assert!(text(&file(no_json, 0)).contains("expected a JSON object at offset 8"));
    }
    assert!(text(&file(&"[".repeat(10_000), 0)).contains("expected a JSON object"));
    assert!(text(&file(r#"{"__metadata__":{"a":1}}"#, 0)).contains("must hold strings only"));
    assert!(text(&file(r#"{"w":3}"#, 0)).contains("header entry of tensor `w`"));
    assert!(text(&file(&one("[2]", "[0,8]").replace("F32", "F33"), 8)).contains("tensor `w`: unknown variant `F33`"));

    let cannot = "cannot be the bytes from offset 0 to";
    for shape in ["[3]", "[1]", "[4294967296,4294967296]", "[2305843009213693954]", "[0]"] {
        let says = format!("tensor `w` of F32 {} {cannot} 8", shape.replace(',', ", "));
        assert!(text(&file(&one(shape, "[0,8]"), 8)).contains(&says), "{says}");
    }
    assert!(text(&file(&one("[2]", "[0,7]"), 8)).contains(cannot));
    assert!(text(&file(&one("[2]", "[8,0]"), 8)).contains("begins at offset 8, expected 0"));
    assert!(text(&file(&one("[2]", "[0,8]"), 7)).contains("describes 8 bytes of tensors, but 7 follow"));
    assert!(text(&file(&one("[2]", "[0,8]"), 9)).contains("describes 8 bytes of tensors, but 9 follow"));

    let two = |a: &str, b: &str| format!("{{{},{}}}", f32s("a", "[2]", a), f32s("b", "[2]", b));
    assert!(TensorFile::from_bytes("f", &file(&two("[8,16]", "[0,8]"), 16)).is_ok());
    assert!(text(&file(&two("[0,8]", "[4,12]"), 16)).contains("tensor `b` begins at offset 4, expected 8"));
    assert!(text(&file(&two("[0,8]", "[0,8]"), 8)).contains("tensor `b` begins at offset 0, expected 8"));
    assert!(text(&file(&two("[0,8]", "[12,20]"), 20)).contains("tensor `b` begins at offset 12, expected 8"));
}

/// Sizes whose sum wraps around to the length of the file: the crate's own reader panics on these.
#[test]
fn sums_that_overflow_are_refused() {
    let half = 1_u64 << 60;
    let entry = |i: u64| {
        let (from, to) = (i * half, i.wrapping_add(1).wrapping_mul(half).wrapping_sub(u64::from(i == 15) * 8));
        let count = to.wrapping_sub(from);
        format!(r#""{i:02}":{{"dtype":"U8","shape":[{count}],"data_offsets":[{from},{to}]}}"#)
    };
    let header = format!("{{{}}}", (0..16).map(entry).collect::<Vec<_>>().join(","));
    assert!(text(&file(&header, 0)).contains("describes 18446744073709551608 bytes of tensors, but 0 follow"));
}

#[test]
fn cut_off_anywhere_is_an_error() {
    let bytes = example().to_bytes().unwrap();
    for end in 0..bytes.len() {
        text(&bytes[..end]);
    }
}

/// One kind of damage: bytes from a place on are replaced, put in, or taken out.
#[derive(Clone, Debug)]
struct Damage {
    place: prop::sample::Index,
    removed: usize,
    added: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let digits = prop::collection::vec(b'0'..=b'9', 0..22);
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    let json = prop::sample::select(vec!["{", "}", "[", "]", ",", "\"", ":", "null", "-1", "1e9", "F64", "I64"]);
    let added = prop_oneof![digits, bytes, json.prop_map(|s| s.as_bytes().to_vec())];
    (any::<prop::sample::Index>(), 0..6_usize, added).prop_map(|(place, removed, added)| Damage {
        place,
        removed,
        added,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage gives an error or a file that holds together, never a panic.
    #[test]
    fn damage_never_panics(damages in prop::collection::vec(damage(), 1..4), mend_length in any::<bool>()) {
        let mut bytes = example().to_bytes().unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let data = bytes.len() - 8 - header;
        for Damage { place, removed, added } in damages {
            let place = if bytes.is_empty() { 0 } else { place.index(bytes.len()) };
            let end = bytes.len().min(place + removed);
            bytes.splice(place..end, added);
        }
        // Else most damage stops at the header's length and never reaches what lies behind.
        if mend_length && bytes.len() > 8 + data {
            let length = (bytes.len() - 8 - data) as u64;
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        if let Ok(file) = TensorFile::from_bytes("f", &bytes) {
            prop_assert!(file.iter().all(|(_, t)| t.shape.iter().product::<usize>() == t.data.len()));
            prop_assert!(file.to_bytes().is_ok());
        }
    }
}
