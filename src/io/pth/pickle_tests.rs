//! Pickles by hand: what is understood, and what must not do harm.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn good(bytes: &[u8]) -> Pickle<'_> {
    Pickle::read(bytes).unwrap_or_else(|what| panic!("{what}"))
}

#[track_caller]
fn fails(bytes: &[u8], says: &str) {
    let Err(text) = Pickle::read(bytes) else { panic!("read {bytes:?}") };
    assert!(text.contains(says), "{text}");
}

fn ints(pickle: &Pickle, id: Id) -> Vec<Option<i64>> {
    pickle.items(id).unwrap().iter().map(|&id| pickle.int(id)).collect()
}

#[test]
fn integers_of_all_widths() {
    let pickle = good(b"\x80\x02(K\xffM\xff\xffJ\xfe\xff\xff\xff\x8a\0\x8a\x01\xff\x8a\x08\0\0\0\0\0\0\0\x80\x8a\x09\0\0\0\0\0\0\0\0\x01t.");
    assert_eq!(ints(&pickle, pickle.root), [Some(255), Some(65535), Some(-2), Some(0), Some(-1), Some(i64::MIN), None]);
}

#[test]
fn dictionaries_of_protocol_2_and_4() {
    let second = b"\x80\x02}(U\x01aK\x01X\x01\0\0\0bK\x02u.";
    let fourth = b"\x80\x04\x95\0\0\0\0\0\0\0\0}\x94(\x8c\x01aK\x01\x8d\x01\0\0\0\0\0\0\0bK\x02u.";
    for bytes in [&second[..], fourth] {
        let bytes = [bytes, b"rest"].concat();
        let pickle = good(&bytes);
        assert_eq!(pickle.length, bytes.len() - 4);
        let pairs: Vec<_> = pickle.dict(pickle.root).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|&(key, value)| (pickle.text(key), pickle.int(value))).collect();
        assert_eq!(pairs, [(Some("a"), Some(1)), (Some("b"), Some(2))]);
    }
}

/// `OrderedDict([["a", 1]])`, as Python 2 writes it, and `OrderedDict()` with an entry set later.
#[test]
fn ordered_dictionaries() {
    let old = b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R.";
    let new = b"\x80\x02ccollections\nOrderedDict\n)R(U\x01aK\x01u}b.";
    for bytes in [&old[..], new] {
        let pickle = good(bytes);
        let pairs = pickle.dict(pickle.root).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!((pickle.text(pairs[0].0), pickle.int(pairs[0].1)), (Some("a"), Some(1)));
    }
}

/// What would start a program in Python is a name and a tuple here.
#[test]
fn nothing_is_called() {
    let pickle = good(b"\x80\x02cposix\nsystem\nU\x02ls\x85R.");
    assert_eq!(pickle.kind(pickle.root), "an object made by posix.system");
    let pickle = good(b"\x80\x04\x8c\x05posix\x8c\x06system\x93)\x81)R.");
    assert_eq!(pickle.kind(pickle.root), "an object made by an unknown function");
}

#[test]
fn broken_pickles_are_refused_with_the_offset() {
    fails(b"", "cut off at offset 0");
    fails(b"\x80\x02K", "cut off at offset 2");
    fails(b"\x80\x01.", "another protocol than 2 to 5 at offset 0");
    fails(b"\x80\x02X\xff\xff\xff\xff", "cut off at offset 2");
    fails(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "cut off at offset 0");
    fails(b"cos", "cut off at offset 0");
    fails(b".", "too few values on the stack at offset 0");
    fails(b"N(\x85.", "too few values on the stack at offset 2");
    fails(b"Nt.", "too few marks");
    fails(b"h\x07.", "not memorised");
    fails(b"}(Nu.", "a key without a value");
    fails(b"(NNt(NNu.", "no dictionary");
    fails(b"K\x01Na.", "no list");
    fails(b"NNR.", "arguments that are no tuple");
    fails(b"NN\x93.", "a name that is no text");
    fails(b"X\x01\0\0\0\xff.", "not UTF-8");
    // Text opcodes of protocol 0, and those for code that is registered.
    for opcode in [b'I', b'S', b'V', b'i', b'o', b'P', 0x82, 0xff] {
        fails(&[b'N', opcode, b'1', b'\n', b'.'], "an opcode that files of PyTorch do not have at offset 1");
    }
}

/// Each tuple holds the one before twice: 2^1000 values for who walks through them.
#[test]
fn values_that_share_values_do_not_grow() {
    let doubled = [&b"N"[..], &b"2\x86".repeat(1000), b"."].concat();
    let pickle = good(&doubled);
    assert_eq!(pickle.items(pickle.root).unwrap().len(), 2);
    assert_eq!(pickle.nodes().len(), 1001);
    let nested = [&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat();
    assert_eq!(good(&nested).nodes().len(), 100_000);
    // A list and a dictionary that contain themselves.
    good(b"]2a.");
    good(b"}22s.");
    // Called again and again with one long list.
    let list = [&b"("[..], &b"N".repeat(1000), b"lq\0\x85q\x01ccollections\nOrderedDict\n"].concat();
    let calls = [&list[..], &b"2h\x01R0".repeat(1000), b"."].concat();
    assert_eq!(good(&calls).nodes().len(), 1000 + 3 + 1000);
}

#[test]
fn opcodes_are_counted() {
    let endless = [&b"N0".repeat(MAX_OPCODES / 2)[..], b"N."].concat();
    fails(&endless, "more than 4000000 opcodes at offset 4000000");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_opcodes_end_without_a_panic(bytes in prop::collection::vec(
        prop_oneof![prop::sample::select(b"\x80\x02(012qrhjNGKMJXUTCB)\x85\x86\x87t]lae}dsucQRb.\n\0\x01\x93\x94".to_vec()), any::<u8>()],
        0..60,
    )) {
        if let Ok(pickle) = Pickle::read(&bytes) {
            prop_assert!(pickle.length <= bytes.len());
            for id in 0..pickle.nodes().len() as Id {
                pickle.kind(id);
                pickle.dict(id);
            }
        }
    }
}
