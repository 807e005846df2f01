//! Pictures that stay in their files: the numbers are those of pictures in memory, and what goes wrong has a name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wgrad::data::{Dataset, Need, Part, Reading, Samples, folder};
use wgrad::gpu::Gpu;
use wgrad::prelude::*;
use wgrad::train::Session;

/// Three classes of `each` pictures in several sizes, a few of them grey, and two files that are no pictures.
fn pictures(each: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for class in 0..3_u32 {
        let inner = dir.path().join(["dark", "middle", "bright"][class as usize]);
        fs::create_dir(&inner).unwrap();
        for i in 0..each {
            let pixel = |x: u32, y: u32| {
                image::Rgb(
                    [class * 90 + i % 50, class * 80 + (x * 7 + y * i) % 60, (x * y + i) % 200].map(|part| part as u8),
                )
            };
            let (width, height, path) = (20 + i % 7, 18 + i % 5, inner.join(format!("{i:04}.png")));
            let picture = image::DynamicImage::from(image::RgbImage::from_fn(width, height, pixel));
            match i % 10 {
                3 => picture.to_luma8().save(path).unwrap(),
                _ => picture.save(path).unwrap(),
            }
        }
    }
    fs::write(dir.path().join("dark/0007-broken.png"), "no picture").unwrap();
    let whole = fs::read(dir.path().join("bright/0001.png")).unwrap();
    fs::write(dir.path().join("bright/0001-cut.png"), &whole[..whole.len() / 2]).unwrap();
    dir
}

fn read(dir: &tempfile::TempDir, stream: bool) -> Dataset {
    let data = folder(dir.path(), &Reading { input: Some([3, 16, 16]), stream, ..Reading::default() }).unwrap();
    assert_eq!((data.is_streamed(), data.train.pixels.is_empty()), (stream, stream));
    data
}

/// A convolution and a linear layer, which compile fast.
fn network() -> Model {
    let layers = nn::Sequential::new().add("conv", nn::Conv2d::new(3, 4, 3)).add("flat", nn::Flatten);
    Model::new("small", 3, &[[3, 16, 16]], layers.add("fc", nn::Linear::new(4 * 14 * 14, 3)))
}

fn settings() -> Settings {
    let augment = "crop:2,flip,mixup:0.3".parse().unwrap();
    Settings {
        batch_size: 7,
        accumulate: 2,
        epochs: 2,
        augment,
        optimizer: Sgd::new(0.01).into(),
        ..Settings::default()
    }
}

#[test]
fn streamed_pictures_train_to_the_bytes_of_resident_ones() {
    let dir = pictures(100);
    let gpu = Gpu::new().unwrap();
    let run = |stream| {
        let data = read(&dir, stream);
        let report = Trainer::new(&gpu, network()).settings(settings()).fit(&data).unwrap();
        let numbers: Vec<f64> = report.evaluations.iter().flat_map(|e| [e.loss, e.accuracy]).collect();
        let losses: Vec<f32> = report.steps.iter().map(|step| step.loss).collect();
        (report.last.to_file().to_bytes().unwrap(), numbers, losses, report.confusion, data.notes)
    };
    let (resident, streamed) = (run(false), run(true));
    assert!(resident.0 == streamed.0, "the checkpoints differ");
    assert_eq!((resident.1, resident.2, resident.3), (streamed.1, streamed.2, streamed.3));
    assert_eq!(resident.4, streamed.4);
    assert!(resident.4.iter().any(|note| note.starts_with("2 files are left out")), "{:?}", resident.4);
}

#[test]
fn chosen_and_resized_pictures_are_those_of_memory() {
    let dir = pictures(20);
    let [resident, streamed] = [false, true].map(|stream| read(&dir, stream));
    for shape in [[3, 16, 16], [3, 9, 12], [1, 30, 20]] {
        let [resident, streamed] = [&resident, &streamed].map(|data| data.clone().fit(shape).unwrap());
        assert_eq!((resident.mean, &resident.train.labels), (streamed.mean.clone(), &streamed.train.labels));
        let chosen = streamed.choose(Part::Train, &[5, 0, 5, 40]).unwrap();
        for (row, place) in [5, 0, 5, 40].into_iter().enumerate() {
            assert!(chosen.image(row) == resident.train.image(place), "{shape:?}: {place}");
            assert_eq!(chosen.labels[row], resident.train.labels[place]);
        }
        let all: Vec<usize> = (0..streamed.test.len()).collect();
        assert!(streamed.choose(Part::Test, &all).unwrap() == resident.test, "{shape:?}");
        assert!(streamed.choose(Part::Test, &[all.len()]).unwrap_err().to_string().contains("not so many"));
    }
}

#[test]
fn what_is_not_needed_is_not_decoded() {
    let dir = pictures(20);
    let reading = |need| Reading { input: Some([3, 16, 16]), need, strict: true, ..Reading::default() };
    assert!(folder(dir.path(), &reading(Need::All)).is_err());
    let names = folder(dir.path(), &reading(Need::Names)).unwrap();
    assert_eq!(
        (&*names.classes, names.train.len() + names.test.len()),
        (&["bright", "dark", "middle"].map(String::from)[..], 62)
    );
    // Every training file is broken, and none of them is looked at.
    let parts = tempfile::tempdir().unwrap();
    for class in ["dark", "bright"] {
        fs::create_dir_all(parts.path().join("train").join(class)).unwrap();
        fs::create_dir_all(parts.path().join("test").join(class)).unwrap();
        fs::write(parts.path().join("train").join(class).join("0.png"), "no picture").unwrap();
        fs::copy(dir.path().join(class).join("0000.png"), parts.path().join("test").join(class).join("0.png")).unwrap();
    }
    let test = folder(parts.path(), &reading(Need::Test)).unwrap();
    assert_eq!((test.test.pixels.len(), test.train.len()), (2 * 3 * 16 * 16, 2));
    assert_eq!(test.fit([3, 8, 8]).unwrap().choose(Part::Test, &[1]).unwrap().pixels.len(), 3 * 64);
}

fn vanish(path: &Path) -> PathBuf {
    fs::remove_file(path).unwrap();
    path.into()
}

#[test]
fn files_that_vanish_or_change_end_the_run_by_name() {
    let gpu = Gpu::new().unwrap();
    let fail = |change: &dyn Fn(&Path) -> PathBuf| {
        let dir = pictures(20);
        let data = read(&dir, true);
        let path = change(dir.path());
        let error = Trainer::new(&gpu, network()).settings(settings()).fit(&data).map(drop).unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        assert!(error.to_string().contains("--resume"), "{error}");
        assert_eq!(error.exit_status(), 2);
    };
    fail(&|dir| {
        // All but one of a class are held: whichever is met first is named.
        (0..20).for_each(|i| drop(vanish(&dir.join(format!("middle/{i:04}.png")))));
        dir.join("middle")
    });
    fail(&|dir| {
        (0..20).for_each(|i| fs::write(dir.join(format!("dark/{i:04}.png")), "something else").unwrap());
        dir.join("dark")
    });
}

#[test]
fn a_session_ends_while_its_threads_read() {
    let gpu = Gpu::new().unwrap();
    let data = read(&pictures(30), true);
    for read in [false, true] {
        let mut session = pollster::block_on(Session::new(&gpu, &network(), &data, &settings())).unwrap();
        if read {
            session.set_order(&(0..data.train.len() as u32).rev().collect::<Vec<_>>()).unwrap();
        }
        drop(session);
    }
}

/// A source of one's own.
#[derive(Debug)]
struct Ramp(usize);

impl Samples for Ramp {
    fn count(&self) -> usize {
        self.0
    }

    fn read(&self, index: usize, pixels: &mut [u8]) -> Result<()> {
        (0..).zip(pixels).for_each(|(at, pixel): (usize, _)| *pixel = (index * 31 + at % 97) as u8);
        Ok(())
    }
}

#[test]
fn a_source_of_ones_own_trains_and_is_checked() {
    let classes = || ["a", "b", "c"].map(String::from).to_vec();
    let part =
        |labels: usize, count| ((0..labels as u32).map(|i| i % 3).collect(), Arc::new(Ramp(count)) as Arc<dyn Samples>);
    let stats = || (vec![0.5; 3], vec![0.25; 3]);
    let data = Dataset::streamed("ramp", classes(), stats(), [3, 16, 16], [part(50, 50), part(9, 9)]).unwrap();
    let report = Trainer::new(&Gpu::new().unwrap(), network()).settings(settings()).fit(&data).unwrap();
    assert_eq!(report.confusion.iter().flatten().sum::<u64>(), 9);
    let error = data.fit([3, 8, 8]).unwrap_err();
    assert!(error.to_string().contains("taken as they are alone"), "{error}");
    let error = Dataset::streamed("ramp", classes(), stats(), [3, 16, 16], [part(50, 49), part(9, 9)]).unwrap_err();
    assert!(error.to_string().contains("49 images are streamed, but there are 50 labels"), "{error}");
}
