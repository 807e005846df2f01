//! To the bit what torchvision makes of PIL images (`tests/goldens/resize.json`), and sizes that it does not know.

use super::*;

fn picture([channels, height, width]: [usize; 3]) -> Vec<u8> {
    let places = (0..channels).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))));
    places.map(|(c, y, x)| ((37 * x + 91 * y + 53 * c + x * y % 251 * 17 + c * x * y) % 256) as u8).collect()
}

#[test]
fn pictures_are_those_of_torchvision() {
    let text = include_str!("../../tests/goldens/resize.json");
    let cases: serde_json::Value = serde_json::from_str(text).unwrap();
    let list = |value: &serde_json::Value| -> Vec<usize> {
        value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
    };
    let shape = |value: &serde_json::Value| -> [usize; 3] { list(value).try_into().unwrap() };
    for case in cases.as_array().unwrap() {
        let (from, to) = (shape(&case["from"]), shape(&case["to"]));
        let found: Vec<usize> = fit(&picture(from), from, to).into_iter().map(usize::from).collect();
        assert_eq!(found, list(&case["pixels"]), "{from:?} to {to:?}");
    }
}

#[test]
fn targets_that_are_no_squares_are_covered() {
    assert_eq!(covering((30, 40), (10, 10)), (10, 13));
    assert_eq!(covering((30, 40), (10, 20)), (15, 20));
    assert_eq!(covering((40, 30), (20, 10)), (20, 15));
    let out = fit(&picture([1, 9, 5]), [1, 9, 5], [3, 4, 6]);
    assert_eq!(out.len(), 3 * 4 * 6);
    assert_eq!(out[..24], out[24..48]);
}

#[test]
fn halves_of_a_margin_go_as_in_python() {
    assert_eq!([0, 1, 2, 3, 4, 5].map(|rest| margin(10 + rest, 10)), [0, 0, 1, 2, 2, 2]);
}
