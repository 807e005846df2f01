//! Folders of pictures, CIFAR, random changes: from options to files.

use crate::program::{bytes, folder, wgrad};
use std::fs;
use std::path::Path;

/// Two classes that can be told apart, fifteen pictures each, in two sizes; one file is no picture.
fn pictures(dir: &Path) {
    for (class, level) in [("dark", 20), ("light", 200)] {
        fs::create_dir_all(dir.join("set").join(class)).unwrap();
        for i in 0..15_u8 {
            let side = if i == 0 { 40 } else { 32 };
            let pixel = |x: u32, y: u32| image::Rgb([level + i, level + (x % 8) as u8, level + (y % 16) as u8]);
            let path = dir.join(format!("set/{class}/{i}.png"));
            image::RgbImage::from_fn(side, side, pixel).save(path).unwrap();
        }
    }
    fs::write(dir.join("set/dark/broken.jpg"), "no picture").unwrap();
}

#[test]
fn a_folder_is_told_of_and_shown() {
    let dir = folder();
    pictures(dir.path());
    let done = wgrad(dir.path(), "data folder:set --input 3x32x32 --holdout 0.2 --json").ends_with(0);
    assert!(done.stderr.contains("1 file is left out: set/dark/broken.jpg: "), "{done:#?}");
    let data = done.json();
    assert_eq!((&data["shape"], &data["train"], &data["test"]), (&[3, 32, 32][..].into(), &24.into(), &6.into()));
    assert_eq!(data["classes"][1], serde_json::json!({"class": "light", "train": 12, "test": 3}));
    assert!(wgrad(dir.path(), "data folder:set --model lenet5").ends_with(0).stdout.contains("images of 1x28x28"));

    let sheet = |options: &str| {
        let command = format!("data folder:set --model tutorial --preview sheet.png {options}");
        assert!(wgrad(dir.path(), &command).ends_with(0).stdout.contains("training images of set in sheet.png"));
        image::open(dir.path().join("sheet.png")).unwrap().to_rgb8()
    };
    let (plain, again, other) = (sheet(""), sheet(""), sheet("--augment crop:4,flip,color:0.2:0.2,cutout:8,mixup:1"));
    assert_eq!(plain.width(), 8 * 100 + 4);
    assert!(plain == again && plain != other);
    // Below the first picture stands the name of its class.
    let (left, top) = (4..100, 4 + 96 + 4..4 + 96 + 4 + 10);
    assert!(top.clone().any(|y| left.clone().any(|x| plain.get_pixel(x, y)[0] == 230)));
}

#[test]
fn wrong_data_is_refused() {
    let dir = folder();
    pictures(dir.path());
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (arguments, says) in [
        ("data folder:set", "say with --input CxHxW"),
        ("data folder:set --input 3x32x32 --strict", "set/dark/broken.jpg: "),
        ("data folder:set --input 3x32", "expected channels x height x width"),
        ("data folder:set --input 2x32x32", "pictures have 1 or 3 channels"),
        ("data folder:set --input 3x32x32 --mean 0.5,0.5", "one of each per channel (3)"),
        ("data folder:set --input 3x32x32 --std 0", "std above 0"),
        ("data folder:set --input 3x32x32 --augment flip", "--preview FILE.png"),
        ("data digits --augment shear --preview x.png", "there are crop:PADDING, flip"),
        ("data digits --augment cutout:99 --preview x.png", "cutout:99 is more than the images have"),
        ("data digits --holdout 0.1", "`digits` has test images of its own"),
        ("data folder:empty", "no class folders"),
        ("data cifar10:empty", "batches.meta.txt: there is no such file"),
        ("train --data folder:empty --augment flip", "no class folders"),
    ] {
        wgrad(dir.path(), arguments).fails_with(2, &[says]);
    }
}

#[test]
fn a_folder_trains_is_resumed_and_evaluated() {
    let dir = folder();
    pictures(dir.path());
    let options = "train --model tutorial --data folder:set --holdout 0.2 --seed 3 --batch-size 5 --optimizer adam \
                   --augment crop:2,flip,color:0.1:0.1,cutout:6,mixup:0.2 --mean 0.4 --std 0.3";
    wgrad(dir.path(), &format!("{options} --steps 12 --out whole")).ends_with(0);
    wgrad(dir.path(), &format!("{options} --steps 7 --out parts")).ends_with(0);
    for other in ["--augment flip", "--holdout 0.3", "--mean 0.5", "--input 3x32x32", "--strict"] {
        let (name, _) = other.split_once(' ').unwrap_or((other, ""));
        wgrad(dir.path(), &format!("train --resume --out parts {other}"))
            .fails_with(2, &[name, "but the run in parts"]);
    }
    let same = "--augment flip,crop:2,color:0.1:0.1,mixup:0.2,cutout:6 --mean 0.4";
    wgrad(dir.path(), &format!("train --resume --out parts --steps 12 {same}")).ends_with(0);
    let [whole, parts] = ["whole", "parts"].map(|run| bytes(dir.path().join(run).join("checkpoint.safetensors")));
    assert!(whole == parts, "a resumed run differs");
    let done = wgrad(
        dir.path(),
        "eval --weights whole/checkpoint.safetensors --data folder:set --holdout 0.2 --seed 3 --json",
    );
    assert_eq!(done.ends_with(0).json()["images"], 6);
}
