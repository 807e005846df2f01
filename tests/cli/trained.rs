//! `eval` and `predict` on what `train` left.

use crate::program::{folder, wgrad};
use image::{GrayImage, Luma};
use std::path::Path;

/// The test images as files, upright and as negatives.
fn pictures(dir: &Path) -> Vec<u32> {
    let test = wgrad::data::digits().test;
    for (index, _) in test.labels.iter().enumerate() {
        let pixel = |x: u32, y: u32| Luma([test.image(index)[(y * 28 + x) as usize]]);
        let picture = GrayImage::from_fn(28, 28, pixel);
        picture.save(dir.join(format!("{index}.png"))).unwrap();
        GrayImage::from_fn(28, 28, |x, y| Luma([255 - pixel(x, y).0[0]]))
            .save(dir.join(format!("n{index}.png")))
            .unwrap();
    }
    test.labels
}

#[test]
fn eval_and_predict_agree_with_training() {
    let dir = folder();
    wgrad(dir.path(), "train --epochs 2 --optimizer sgd --lr 0.01 --batch-size 16 --out run").ends_with(0);
    let weights = "--weights run/checkpoint.safetensors";
    let report = wgrad(dir.path(), &format!("eval {weights} --data digits --json")).ends_with(0).json();
    let rows = std::fs::read_to_string(dir.path().join("run/metrics.csv")).unwrap();
    let last: Vec<&str> = rows.lines().last().unwrap().split(',').collect();
    assert_eq!((last[2], last[4].parse().ok()), ("test", report["accuracy"].as_f64()));
    let loss: f64 = last[3].parse().unwrap();
    assert!((report["loss"].as_f64().unwrap() - loss).abs() < 1e-5 * loss, "{loss} {report}");
    let sum =
        |key: &str| report["classes"].as_array().unwrap().iter().map(|class| class[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("images"), sum("predicted")), (360, 360));
    let text = wgrad(dir.path(), &format!("eval {weights} --data digits --batch-size 7")).ends_with(0).stdout;
    assert!(text.contains(&format!("({} of 360)", sum("right"))), "{text}");

    // Each test image as a file is taken for what it was taken for in the evaluation.
    let labels = pictures(dir.path());
    let files = |prefix: &str| (0..labels.len()).map(|i| format!("{prefix}{i}.png")).collect::<Vec<_>>().join(" ");
    let plain = wgrad(dir.path(), &format!("predict {weights} --json --top 10 {}", files(""))).ends_with(0).json();
    let plain = plain.as_array().unwrap();
    let right =
        plain.iter().zip(&labels).filter(|(image, label)| image["predictions"][0]["class"] == label.to_string());
    assert_eq!(right.count() as u64, sum("right"));
    for image in plain {
        let probabilities =
            image["predictions"].as_array().unwrap().iter().map(|class| class["probability"].as_f64().unwrap());
        assert!((probabilities.sum::<f64>() - 1.0).abs() < 1e-9);
    }
    let negative =
        wgrad(dir.path(), &format!("predict {weights} --invert --json --top 10 {}", files("n"))).ends_with(0).json();
    for (plain, negative) in plain.iter().zip(negative.as_array().unwrap()) {
        assert_eq!(plain["predictions"], negative["predictions"]);
    }
    let text = wgrad(dir.path(), &format!("predict {weights} --top 1 0.png 17.png")).ends_with(0).stdout;
    let classes: Vec<&str> = [0, 17].iter().map(|&i| plain[i]["predictions"][0]["class"].as_str().unwrap()).collect();
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!([words[0][..2].to_vec(), words[1][..2].to_vec()], [["0.png", classes[0]], ["17.png", classes[1]]]);
}
