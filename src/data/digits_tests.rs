//! The embedded digits against numbers computed outside of this crate (Python integers, see each test).

use super::*;

/// FNV-1a, to freeze content without storing it.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn the_file_is_whole() {
    assert_eq!(include_bytes!("digits.bin").len(), 1797 * RECORD);
    assert!(RECORDS.iter().all(|r| r[..64].iter().all(|&v| v <= 16) && r[64] < 10));
    let all = digits_in_order(28).unwrap();
    assert_eq!(all.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let counts: Vec<usize> = (0..10).map(|c| all.labels.iter().filter(|&&l| l == c).count()).collect();
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
}

/// The same formula in Python gives these fingerprints of all 1,797 images.
#[test]
fn scaling_is_exact() {
    assert_eq!(fingerprint(&digits_in_order(28).unwrap().pixels), 0x1cc1_8093_44ea_989e);
    assert_eq!(fingerprint(&digits_in_order(32).unwrap().pixels), 0xe31b_c5e0_ed16_aff0);
}

#[test]
fn at_8x8_the_values_are_those_of_the_file() {
    let all = digits_in_order(8).unwrap();
    for (i, record) in RECORDS.iter().enumerate() {
        let expected: Vec<u8> = record[..64].iter().map(|&v| ((u32::from(v) * 255 + 8) / 16) as u8).collect();
        assert_eq!(all.image(i), expected, "digit {i}");
    }
}

#[test]
fn mean_and_std_are_those_of_all_digits_at_28() {
    let pixels = digits_in_order(28).unwrap().pixels;
    let n = pixels.len() as f64;
    let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / n;
    let variance = pixels.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum::<f64>() / n;
    let rounded = |x: f64| (x / 255.0 * 1e4).round() / 1e4;
    assert_eq!((rounded(mean) as f32, rounded(variance.sqrt()) as f32), (MEAN, STD));
    let data = digits();
    assert_eq!((data.mean, data.std), (vec![MEAN], vec![STD]));
}

/// The same choice in Python, with PCG32 written out there, gives this fingerprint.
#[test]
fn the_split_is_fixed_stratified_and_in_file_order() {
    let is_test = test_part();
    let bits: Vec<u8> = is_test.iter().map(|&t| t.into()).collect();
    assert_eq!(
        fingerprint(&bits),
        0x421a_55f3_fbee_674b,
        "a changed split makes every published accuracy incomparable"
    );

    let (data, all) = (digits(), digits_in_order(28).unwrap());
    assert_eq!((data.train.len(), data.test.len()), (1437, 360));
    for class in 0..10 {
        assert_eq!(data.test.labels.iter().filter(|&&l| l == class).count(), 36);
    }
    let (mut train, mut test) = (0, 0);
    for (i, &is_test) in is_test.iter().enumerate() {
        let (part, at) = if is_test { (&data.test, &mut test) } else { (&data.train, &mut train) };
        assert_eq!((part.image(*at), part.labels[*at]), (all.image(i), all.labels[i]), "digit {i}");
        *at += 1;
    }
}

#[test]
fn sizes_beyond_the_arithmetic_are_refused() {
    assert_eq!(digits_in_order(256).unwrap().pixels.iter().max(), Some(&255));
    for size in [0, 7, 257, usize::MAX] {
        assert!(digits_in_order(size).is_err() && digits_at(size).is_err(), "{size}");
    }
}
