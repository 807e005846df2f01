use super::*;
use crate::train::folder::rows::{parse, read};
use proptest::prelude::*;

fn step(step: u64, epoch: u64) -> StepMetrics {
    StepMetrics { step, epoch, loss: 0.1, accuracy: 0.25, lr: 0.05, images_per_second: 1234.56 }
}

fn evaluation(step: u64, epoch: u64) -> EvalMetrics {
    let (loss, accuracy, lr) = (1.0 / 3.0, 0.5, 0.05);
    EvalMetrics { step, epoch, loss, accuracy, lr, images_per_second: 10.0, best: true }
}

/// Two epochs of two steps, and an evaluation in the middle of a third.
fn written(dir: &Path) -> PathBuf {
    let path = dir.join("metrics.csv");
    let mut metrics = Metrics::create(path.clone()).unwrap();
    for number in 1..=5 {
        metrics.step(&step(number, number.div_ceil(2))).unwrap();
        if number % 2 == 0 {
            metrics.evaluation(&evaluation(number, number / 2)).unwrap();
        }
    }
    metrics.evaluation(&evaluation(5, 3)).unwrap();
    metrics.flush().unwrap();
    path
}

fn kept(done: Done) -> Vec<(u64, bool)> {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    drop(Metrics::resume(path.clone(), done).unwrap());
    read(&path).unwrap().iter().map(|row| (row.step, row.test)).collect()
}

#[test]
fn the_file_holds_every_bit_of_losses_and_rates() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(written(dir.path())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "step,epoch,split,loss,accuracy,lr,images_per_second");
    assert_eq!(lines[1], "1,1,train,0.1,0.25,0.05,1234.6");
    assert_eq!(lines[3], "2,1,test,0.3333333333333333,0.5,0.05,10.0");
    let all = dir.path().join("all.csv");
    let evaluations = [evaluation(2, 1), evaluation(4, 2), evaluation(5, 3)];
    write_all(&all, &[1, 2, 3, 4, 5].map(|number: u64| step(number, number.div_ceil(2))), &evaluations).unwrap();
    assert_eq!(std::fs::read_to_string(all).unwrap(), text);
}

#[test]
fn rows_behind_the_checkpoint_are_cut_off() {
    let (train, test) = (false, true);
    let first = [(1, train), (2, train), (2, test), (3, train)];
    assert_eq!(kept(Done { step: 3, evaluated: 1 }), first);
    // The end of an epoch whose evaluation the checkpoint does not know of.
    assert_eq!(kept(Done { step: 2, evaluated: 0 }), first[..2]);
    assert_eq!(kept(Done { step: 2, evaluated: 1 }), first[..3]);
    // The evaluation in the middle of an epoch belongs to a run that ended there.
    assert_eq!(kept(Done { step: 5, evaluated: 2 }).last(), Some(&(5, train)));
    assert_eq!(kept(Done { step: 0, evaluated: 0 }), []);
}

#[test]
fn a_line_that_a_killed_run_left_unfinished_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let mut text = std::fs::read_to_string(&path).unwrap();
    text += "6,3,tra";
    std::fs::write(&path, text).unwrap();
    let mut metrics = Metrics::resume(path.clone(), Done { step: 5, evaluated: 2 }).unwrap();
    metrics.step(&step(6, 3)).unwrap();
    metrics.flush().unwrap();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .ends_with("\n5,3,train,0.1,0.25,0.05,1234.6\n6,3,train,0.1,0.25,0.05,1234.6\n")
    );
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    for (text, says) in [
        ("a,b\n1,2\n", "first line"),
        ("", "first line"),
        ("step,epoch,split,loss,accuracy,lr,images_per_second\nx,1,train,1,1,1,1\n", "line 2"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.csv: ") && error.contains(says), "{error}");
    }
    assert!(read(dir.path()).unwrap_err().to_string().contains("not a regular file"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..9_usize, prop::collection::vec(any::<u8>(), 0..6)), 1..4)
    ) {
        let mut bytes = [HEADER.join(",").as_bytes(), b"\n1,1,train,2.3,0.1,0.01,100.0\n1,1,test,2.2,0.2,0.01,100.0\n"].concat();
        let lines = bytes.len() + 20;
        for (place, removed, added) in damages {
            let place = place.index(bytes.len());
            bytes.splice(place..(place + removed).min(bytes.len()), added);
        }
        if let Ok(rows) = parse(Path::new("metrics.csv"), &bytes[..]) {
            prop_assert!(rows.len() <= lines);
        }
    }
}
