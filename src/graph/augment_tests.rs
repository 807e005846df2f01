use super::*;

#[test]
fn words_and_fields_agree() {
    let text = "crop:4,flip,color:0.2:0,cutout:8,mixup:0.2";
    let augment: Augment = text.parse().unwrap();
    let all = Augment { crop: 4, flip: true, brightness: 0.2, contrast: 0.0, cutout: 8, mixup: 0.2 };
    assert_eq!((augment, augment.to_string().as_str()), (all, text));
    assert_eq!("mixup:1,flip".parse::<Augment>().unwrap().to_string(), "flip,mixup:1");
    assert_eq!("none".parse::<Augment>().unwrap().to_string(), "none");
    for (text, says) in [
        ("", "there are crop:PADDING"),
        ("flip:2", "there are crop:PADDING"),
        ("crop", "there are crop:PADDING"),
        ("crop:0", "above 0"),
        ("crop:-1", "above 0"),
        ("cutout:1.5", "above 0"),
        ("color:0.1", "there are crop:PADDING"),
        ("color:nan:0", "not negative"),
        ("mixup:0", "above 0"),
        ("flip,flip", "said twice"),
        ("flip, crop:2", "there are crop:PADDING"),
    ] {
        let error = text.parse::<Augment>().unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn what_does_not_fit_the_images_is_refused() {
    let check = |text: &str, shape| text.parse::<Augment>().unwrap().check(shape);
    assert!(check("crop:4,cutout:8", [3, 8, 8]).is_ok());
    assert!(check("cutout:9", [3, 8, 8]).unwrap_err().contains("8x8"));
    assert!(check("flip", [1, 1, 40_000]).is_err());
}

/// Mean 1/2 and variance 1 / (4 (2 A + 1)) of Beta(A, A), within four standard errors.
#[test]
fn weights_of_mixup_are_beta() {
    for alpha in [0.05, 0.2, 1.0, 3.0] {
        let augment = Augment { mixup: alpha, ..Augment::default() };
        let count = 20_000;
        let draws: Vec<f64> = (0..count).map(|step| f64::from(augment.lambda(7, step))).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(count);
        let squares: Vec<f64> = draws.iter().map(|l| (l - 0.5).powi(2)).collect();
        let variance = squares.iter().sum::<f64>() / f64::from(count);
        let expected = 0.25 / (2.0 * f64::from(alpha) + 1.0);
        let spread = squares.iter().map(|s| (s - variance).powi(2)).sum::<f64>() / f64::from(count);
        let errors = [expected, spread].map(|variance| 4.0 * (variance / f64::from(count)).sqrt());
        assert!((mean - 0.5).abs() < errors[0], "{alpha}: mean {mean}");
        assert!((variance - expected).abs() < errors[1], "{alpha}: variance {variance}, expected {expected}");
        assert!(draws.iter().all(|l| (0.0..=1.0).contains(l)));
    }
    let augment = Augment { mixup: 0.2, ..Augment::default() };
    assert_ne!(augment.lambda(0, 1), augment.lambda(0, 2));
    assert_ne!(augment.lambda(0, 1), augment.lambda(1, 1));
    assert_eq!(Augment::default().lambda(0, 1), 1.0);
}
