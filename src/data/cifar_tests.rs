//! Folders in CIFAR's form, made here.

use std::fs;

use super::*;

/// Records with these labels, whose pixels count up from the label.
fn file(version: &Version, labels: &[u8]) -> Vec<u8> {
    let record = |&label: &u8| {
        let mut bytes = vec![7; version.labels];
        bytes[version.labels - 1] = label;
        bytes.extend((0..PIXELS).map(|i| (i + usize::from(label)) as u8));
        bytes
    };
    labels.iter().flat_map(record).collect()
}

fn folder(version: &Version) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (i, name) in (0..).zip(version.train) {
        fs::write(dir.path().join(name), file(version, &[i, 9 - i])).unwrap();
    }
    fs::write(dir.path().join(version.test), file(version, &[4])).unwrap();
    let names: String = (0..version.classes).map(|i| format!("class {i}\r\n")).collect();
    fs::write(dir.path().join(version.names), names + "\n").unwrap();
    dir
}

#[test]
fn images_keep_the_order_of_the_files() {
    let data = cifar10(folder(&CIFAR10).path()).unwrap();
    assert_eq!(data.train.labels, [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]);
    assert_eq!(data.train.image(3)[..3], [8, 9, 10]);
    assert_eq!((data.test.labels, data.train.shape), (vec![4], [3, 32, 32]));
    assert_eq!((data.classes.len(), &*data.classes[9]), (10, "class 9"));
    assert_eq!(data.notes.len(), 2, "{:?}", data.notes);
    assert!(data.notes[0].contains("10 images in data_batch_1.bin") && data.notes[0].contains("50000"));
}

#[test]
fn fine_labels_come_second_and_the_archives_folder_is_found() {
    let inner = folder(&CIFAR100);
    let outer = tempfile::tempdir().unwrap();
    fs::rename(inner.path(), outer.path().join("cifar-100-binary")).unwrap();
    let data = cifar100(outer.path()).unwrap();
    assert_eq!((data.train.labels, data.test.labels), (vec![0, 9], vec![4]));
    assert_eq!((data.name.as_str(), data.classes.len()), ("cifar100", 100));
}

#[test]
fn what_is_wrong_is_named() {
    let cut = file(&CIFAR10, &[1, 2])[..3073 + 100].to_vec();
    for (name, content, says) in [
        ("data_batch_3.bin", None, "there is no such file; cifar10 wants data_batch_1.bin, "),
        ("test_batch.bin", None, "test_batch.bin: there is no such file"),
        ("batches.meta.txt", None, "batches.meta.txt: there is no such file"),
        ("batches.meta.txt", Some(b"cat\ndog\n".to_vec()), "2 names of classes, one to a line, expected 10"),
        (
            "data_batch_2.bin",
            Some(cut),
            "3173 bytes are no whole number of images of 3073 bytes: it is cut off at offset 3073",
        ),
        ("test_batch.bin", Some(vec![]), "0 bytes are no whole number"),
        ("data_batch_5.bin", Some(file(&CIFAR10, &[3, 10])), "label 10 of image 1 at offset 3073, expected 0 to 9"),
    ] {
        let dir = folder(&CIFAR10);
        match content {
            Some(content) => fs::write(dir.path().join(name), content).unwrap(),
            None => fs::remove_file(dir.path().join(name)).unwrap(),
        }
        let error = cifar10(dir.path()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.exit_status(), 2);
    }
    let error = cifar10("/no/such/folder").unwrap_err();
    assert!(matches!(error, Error::Io { action: "read", .. }), "{error}");
}

#[test]
fn other_sizes_and_grey_are_made() {
    let data = cifar10(folder(&CIFAR10).path()).unwrap().fit([1, 16, 16]).unwrap();
    assert_eq!((data.train.shape, data.mean.len()), ([1, 16, 16], 1));
    assert!((data.mean[0] - (0.299 * 0.4914 + 0.587 * 0.4822 + 0.114 * 0.4465)).abs() < 1e-4);
}
