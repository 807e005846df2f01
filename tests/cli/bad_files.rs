//! Bad files: each gives a message that says what is wrong and where, status 2 or 1, and leaves nothing behind.

use crate::program::{bytes, folder, idx, mnist, wgrad};
use std::path::Path;
use wgrad::io::{HostTensor, TensorFile};

/// What `spoil` does to a good data set is found out, with these words.
#[track_caller]
fn spoiled(side: u32, spoil: impl Fn(&Path), says: &[&str]) {
    let dir = folder();
    let data = mnist(dir.path(), side);
    spoil(&data);
    wgrad(dir.path(), "train --data mnist:mnist --steps 1 --out run").fails_with(2, says);
    assert!(!dir.path().join("run").exists(), "no folder is left");
}

#[test]
fn idx_files() {
    let images = "train-images-idx3-ubyte";
    let labels = "t10k-labels-idx1-ubyte";
    let wrong_magic = |dir: &Path| idx(&dir.join(images), 0x801, &[40, 28, 28], &[0; 40 * 28 * 28]);
    spoiled(28, wrong_magic, &[images, "magic number 0x00000801 at offset 0, expected 0x00000803"]);
    let cut = |dir: &Path| idx(&dir.join(images), 0x803, &[40, 28, 28], &[0; 1000]);
    spoiled(28, cut, &[images, "expected 31376 bytes, but it ends at offset 1016"]);
    let cut_header = |dir: &Path| std::fs::write(dir.join(images), [0, 0, 8, 3, 0]).unwrap();
    spoiled(28, cut_header, &[images, "ends at offset 5"]);
    let long = |dir: &Path| idx(&dir.join(labels), 0x801, &[10], &[0; 11]);
    spoiled(28, long, &[labels, "more bytes follow at offset 18"]);
    let label = |dir: &Path| idx(&dir.join(labels), 0x801, &[10], &[0, 1, 2, 10, 4, 5, 6, 7, 8, 9]);
    spoiled(28, label, &[labels, "label 10 of image 3 at offset 11, expected 0 to 9"]);
    let fewer = |dir: &Path| idx(&dir.join(labels), 0x801, &[9], &[0; 9]);
    spoiled(28, fewer, &[labels, "9 labels (offset 4), but 10 images"]);
    spoiled(27, |_| (), &["its images are [1, 27, 27] (C, H, W), but the network takes [1, 28, 28]"]);
    let two_sizes = |dir: &Path| idx(&dir.join("t10k-images-idx3-ubyte"), 0x803, &[10, 20, 20], &[0; 4000]);
    spoiled(28, two_sizes, &["train images are [1, 28, 28]", "t10k images are [1, 20, 20]"]);
    let missing = |dir: &Path| std::fs::remove_file(dir.join(labels)).unwrap();
    spoiled(28, missing, &["no t10k labels: looked for"]);
    let zipped = |dir: &Path| {
        std::fs::remove_file(dir.join(labels)).unwrap();
        std::fs::write(dir.join(format!("{labels}.gz")), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    };
    spoiled(28, zipped, &[labels, "gzip data is damaged or cut off"]);
}

#[test]
fn a_folder_that_cannot_be_read() {
    let dir = folder();
    std::fs::write(dir.path().join("file"), "").unwrap();
    wgrad(dir.path(), "train --data mnist:file").fails_with(2, &["file: cannot read: "]);
    wgrad(dir.path(), "train --steps 1 --out file/run").fails_with(1, &["file/run: cannot create: "]);
}

/// Weights of lenet5 after `change`.
fn weights(path: &Path, change: impl Fn(&mut TensorFile)) {
    let shapes: [(&str, &[usize]); 10] = [
        ("conv1.weight", &[6, 1, 5, 5]),
        ("conv1.bias", &[6]),
        ("conv2.weight", &[16, 6, 5, 5]),
        ("conv2.bias", &[16]),
        ("fc1.weight", &[120, 400]),
        ("fc1.bias", &[120]),
        ("fc2.weight", &[84, 120]),
        ("fc2.bias", &[84]),
        ("fc3.weight", &[10, 84]),
        ("fc3.bias", &[10]),
    ];
    let mut file = TensorFile::new();
    for (name, shape) in shapes {
        file.insert(name, tensor(shape)).unwrap();
    }
    change(&mut file);
    file.write(path).unwrap();
}

fn tensor(shape: &[usize]) -> HostTensor {
    HostTensor { shape: shape.into(), data: vec![0.01; shape.iter().product()] }
}

#[test]
fn weights_that_do_not_fit() {
    let dir = folder();
    let path = dir.path().join("w.safetensors");
    let train = |says: &[&str]| {
        let done = wgrad(dir.path(), "train --steps 1 --out run --init w.safetensors").fails_with(2, says);
        assert!(!dir.path().join("run").exists(), "no folder is left");
        done
    };
    let without = |file: &mut TensorFile| drop(file.take_exact(&[("fc2.bias".into(), vec![84])], |_| true).unwrap());
    weights(&path, without);
    train(&["w.safetensors", "1 missing (fc2.bias [84])"]);
    weights(&path, |file| file.insert("fc4.bias", tensor(&[10])).unwrap());
    train(&["w.safetensors", "1 not in the network (fc4.bias)"]);
    weights(&path, |file| file.insert("conv1.weight", tensor(&[6, 1, 3, 3])).unwrap());
    train(&["conv1.weight: expected [6, 1, 5, 5], found [6, 1, 3, 3]"]);
    weights(&path, |_| ());
    let whole = bytes(&path);
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    train(&["w.safetensors", "the file is damaged, or cut off"]);
    std::fs::write(&path, &whole[..5]).unwrap();
    train(&["5 bytes are too few"]);
    weights(&path, |_| ());
    wgrad(dir.path(), "train --steps 1 --out run --init w.safetensors").ends_with(0);
    wgrad(dir.path(), "eval --weights w.safetensors --data digits").fails_with(2, &["say --model and --data"]);
    wgrad(dir.path(), "eval --weights w.safetensors --data digits --model lenet5").ends_with(0);
}

#[test]
fn pictures_that_are_none() {
    let dir = folder();
    wgrad(dir.path(), "train --steps 1 --out run").ends_with(0);
    std::fs::write(dir.path().join("text.png"), "no picture").unwrap();
    std::fs::write(dir.path().join("cut.png"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0").unwrap();
    let weights = "--weights run/checkpoint.safetensors";
    for (picture, says) in [("text.png", "PNG and JPEG"), ("cut.png", "PNG and JPEG"), ("none.png", "cannot read")] {
        wgrad(dir.path(), &format!("predict {weights} {picture}")).fails_with(2, &[picture, says]);
    }
    wgrad(dir.path(), &format!("predict {weights} --model tutorial text.png")).fails_with(2, &["weights of lenet5"]);
}
