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
        ("data digits --stream", "`digits` is small enough for memory"),
        ("data folder:set --input 3x32x32 --holdout 0", "--holdout must be between 0 and 1"),
        ("data folder:set --input 3x32x32 --holdout 1", "--holdout must be between 0 and 1"),
        ("data folder:set --input 3x32x32 --holdout nan", "--holdout must be between 0 and 1"),
        ("train --data folder:set --mean 0.5,0.5 --model tutorial", "one of each per channel (3)"),
        ("train --data folder:set --strict --model tutorial --stream", "set/dark/broken.jpg: "),
        ("bench tutorial --data folder:set --strict", "set/dark/broken.jpg: "),
        ("profile tutorial --data folder:set --holdout 1", "--holdout must be between 0 and 1"),
        ("summary tutorial --plan --data folder:set --holdout 1", "--holdout must be between 0 and 1"),
        ("data folder:set/dark/0.png", "set/dark/0.png: cannot read"),
        ("data folder:nowhere", "nowhere: cannot read"),
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

#[test]
fn folders_that_make_no_data_set_are_refused() {
    let dir = folder();
    let picture = |path: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::new(8, 8).save(path).unwrap();
    };
    picture("hollow/a/0.png");
    fs::create_dir(dir.path().join("hollow/b")).unwrap();
    for path in ["extra/train/a/0.png", "extra/train/b/0.png", "extra/val/a/0.png", "extra/val/zebra/0.png"] {
        picture(path);
    }
    picture("broken/a/0.png");
    picture("broken/a/1.png");
    fs::create_dir(dir.path().join("broken/b")).unwrap();
    fs::write(dir.path().join("broken/b/0.jpg"), "no picture").unwrap();
    picture("single/a/0.png");
    for stream in ["", "--stream"] {
        for (set, says) in [
            ("hollow", "hollow/b: this class folder holds no pictures"),
            ("extra", "extra/val/zebra: this class has no folder in train/"),
            ("broken", "broken/b: none of the pictures of this class can be read"),
            ("single", "no class has enough pictures"),
        ] {
            wgrad(dir.path(), &format!("train --model tutorial --data folder:{set} {stream}")).fails_with(2, &[says]);
        }
    }
    // CIFAR, one byte short.
    fs::create_dir(dir.path().join("cifar")).unwrap();
    let names: String = ('a'..='j').map(|name| format!("{name}\n")).collect();
    fs::write(dir.path().join("cifar/batches.meta.txt"), names).unwrap();
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(dir.path().join(format!("cifar/{file}.bin")), [0; 2 * 3073]).unwrap();
    }
    wgrad(dir.path(), "data cifar10:cifar").ends_with(0);
    fs::write(dir.path().join("cifar/data_batch_4.bin"), [0; 2 * 3073 - 1]).unwrap();
    wgrad(dir.path(), "train --model tutorial --data cifar10:cifar")
        .fails_with(2, &["cifar/data_batch_4.bin: ", "cut off at offset 3073"]);
}

/// Only who is not root can be kept out.
#[test]
#[cfg(unix)]
fn a_folder_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    pictures(dir.path());
    let closed = dir.path().join("set/light");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let may = fs::read_dir(&closed).is_ok();
    let done = wgrad(dir.path(), "data folder:set --input 3x32x32");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    match may {
        true => drop(done.ends_with(0)),
        false => drop(done.fails_with(2, &["set/light: cannot read"])),
    }
}

#[test]
fn a_streamed_folder_is_like_one_in_memory() {
    let dir = folder();
    pictures(dir.path());
    let grey = image::GrayImage::from_fn(33, 35, |x, y| image::Luma([(x * y) as u8]));
    grey.save(dir.path().join("set/light/grey.png")).unwrap();
    let options = "train --model tutorial --data folder:set --holdout 0.2 --batch-size 5 --accumulate 2 --augment flip";
    for (run, how) in [("memory", ""), ("files", "--stream")] {
        let done = wgrad(dir.path(), &format!("{options} --steps 7 --out {run} {how}")).ends_with(0);
        assert!(done.stderr.contains("1 file is left out: set/dark/broken.jpg: "), "{done:#?}");
        assert!(done.stderr.contains("1 of 31 pictures are grey"), "{done:#?}");
    }
    // A run goes on however it is read.
    wgrad(dir.path(), "train --resume --out memory --steps 11 --stream").ends_with(0);
    wgrad(dir.path(), "train --resume --out files --steps 11").ends_with(0);
    let [memory, files] = ["memory", "files"].map(|run| bytes(dir.path().join(run).join("checkpoint.safetensors")));
    assert!(memory == files, "a streamed run differs");

    let [memory, files] = ["", "--stream"].map(|how| {
        let eval = format!("eval --weights memory/best.safetensors --data folder:set --holdout 0.2 --json {how}");
        let data = format!("data folder:set --input 3x32x32 --json {how}");
        let mut all = [eval, data].map(|command| wgrad(dir.path(), &command).ends_with(0).json());
        assert_eq!(all[1]["streamed"], !how.is_empty());
        all[1]["streamed"] = 0.into();
        all
    });
    assert_eq!(memory, files);
    for command in
        ["bench tutorial --batch 8 --steps 4", "profile tutorial --batch 8 --repeat 1", "summary tutorial --plan"]
    {
        wgrad(dir.path(), &format!("{command} --data folder:set --stream --mean 0.5 --std 0.5")).ends_with(0);
    }
}

#[test]
fn what_weights_do_not_say_comes_from_options_and_names() {
    let dir = folder();
    pictures(dir.path());
    wgrad(dir.path(), "train --model tutorial --data folder:set --steps 3 --out run").ends_with(0);
    let best = dir.path().join("run/best.safetensors");
    let mut bare = wgrad::io::TensorFile::read(&best).unwrap();
    bare.metadata.clear();
    bare.write(dir.path().join("bare.safetensors")).unwrap();
    let predict = |options: &str| {
        wgrad(dir.path(), &format!("predict set/dark/3.png set/light/7.png --json {options}")).ends_with(0)
    };
    let expected = predict("--weights run/best.safetensors").json();
    // Classes are names of folders: whatever lies in these, nothing is decoded.
    for i in 0..15 {
        fs::write(dir.path().join(format!("set/dark/{}.png", [i, 99][usize::from(i == 3)])), "no picture").unwrap();
    }
    let done = predict("--weights bare.safetensors --model tutorial --data folder:set --input 3x32x32");
    assert!(!done.stderr.contains("left out") && done.json() == expected, "{done:#?}");
    assert_ne!(predict("--weights run/best.safetensors --mean 0.1 --std 0.9").json(), expected);
    wgrad(dir.path(), "predict set/dark/3.png --weights run/best.safetensors --std 0").fails_with(2, &["--std: "]);
}
