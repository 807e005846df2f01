use super::*;
use crate::train::plots::{confusion, curves};

fn row(step: u64, epoch: u64, test: bool, loss: f64) -> Row {
    Row { step, epoch, test, loss, accuracy: 0.5 }
}

fn drawn(rows: &[Row]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("curves.svg");
    curves(&path, "a <model> & data", rows).unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn any_run_can_be_drawn() {
    let diverged = [row(1, 1, false, 1e30), row(2, 1, false, f64::NAN), row(3, 2, false, f64::INFINITY)];
    let perfect = [row(1, 1, false, 0.0), row(2, 1, false, 0.0), row(2, 1, true, 0.0)];
    let long: Vec<Row> = (1..20_000).map(|step| row(step, step / 500 + 1, false, 1.0 / step as f64)).collect();
    for rows in [&[][..], &[row(1, 1, false, 2.3)], &diverged, &perfect, &long] {
        let svg = drawn(rows);
        assert!(svg.contains("a &lt;model&gt; &amp; data"), "titles are escaped");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.len() < 200_000, "{} bytes for {} rows", svg.len(), rows.len());
    }
    assert!(drawn(&long).contains("log scale") && !drawn(&perfect).contains("log scale"));
}

#[test]
fn epochs_are_the_unit_where_there_are_some() {
    assert_eq!(axis(&[row(1, 1, false, 1.0), row(23, 1, true, 1.0)]), (1.0, "step"));
    assert_eq!(axis(&[row(23, 1, false, 1.0), row(24, 2, false, 1.0), row(25, 2, false, 1.0)]), (23.0, "epoch"));
}

#[test]
fn smoothing_keeps_means_and_thinning_keeps_peaks() {
    let line: Vec<Point> = (0..6000).map(|x| (f64::from(x), f64::from(x % 2))).collect();
    let smooth = smoothed(&line);
    assert!(smooth.iter().all(|point| (point.1 - 0.5).abs() < 0.01));
    assert_eq!(smoothed(&line[..40]), &line[..40], "few points stay as they are");
    let mut line = line;
    line[3210].1 = 7.0;
    let thin = thinned(&line);
    assert!(thin.len() <= POINTS && thin.contains(&(3210.0, 7.0)));
    assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
}

#[test]
fn confusion_of_many_classes() {
    let dir = tempfile::tempdir().unwrap();
    for count in [1, 10, 21, 100] {
        let path = dir.path().join("confusion.svg");
        let classes: Vec<String> = (0..count).map(|class| format!("a long name {class}")).collect();
        confusion(&path, "title", &classes, &vec![vec![1; count]; count]).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.contains(&format!("{count} of {} test images right", count * count)), "{count}");
    }
}
