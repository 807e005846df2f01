//! Random changes on the device in the middle of a run and in short batches, against the reference.

use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{DType, Gather, Graph};
use wgrad::plan::Program;
use wgrad::reference::{self, Array};

const IMAGES: [usize; 4] = [31, 3, 9, 7];
const BATCH: usize = 12;

fn numbers(count: usize, end: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + i / 13 * 104_729 + 11) % end) as f64).collect()
}

#[test]
fn a_step_changes_what_the_reference_changes() {
    let gpu = Gpu::new().unwrap();
    for text in ["none", "crop:3,flip,color:0.3:0.3,cutout:3", "crop:3,flip,color:0.3:0.3,cutout:3,mixup:0.5"] {
        let plain = Gather::plain(BATCH, &[0.5, 0.4, 0.3], &[0.25, 0.2, 0.3]);
        let gather = Gather { augment: text.parse().unwrap(), seed: (3 << 32) + 5, ..plain };
        let mut graph = Graph::new();
        let images = graph.input("images", &IMAGES, DType::U8).unwrap();
        let labels = graph.input("labels", &IMAGES[..1], DType::U32).unwrap();
        let order = graph.input("order", &IMAGES[..1], DType::U32).unwrap();
        let batch = graph.gather_mixed(images, labels, order, gather.clone()).unwrap();
        let x = batch.x;
        let outputs: Vec<_> = [x, batch.labels].into_iter().chain(batch.mix.map(|(partners, _)| partners)).collect();
        let pixels = numbers(IMAGES.iter().product(), 256);
        let [classes, permutation] = [numbers(31, 10), (0..31).map(|i| f64::from(i * 12 % 31)).collect()];
        let words = |numbers: &[f64]| numbers.iter().flat_map(|&n| (n as u32).to_le_bytes()).collect::<Vec<u8>>();

        for (index, first, valid) in [(0, 0, BATCH), (1, 5, BATCH), (70_000, 24, 7), (4_000_000_000, 30, 1)] {
            // The reference knows whole batches from the beginning of the order alone.
            let short = Gather { batch: valid, ..gather.clone() };
            let mut rotated = permutation.clone();
            rotated.rotate_left(first);
            let array = |shape: &[usize], data: &[f64]| Array::new(shape, data.to_vec()).unwrap();
            let [classes_array, rotated] = [&classes, &rotated].map(|data| array(&IMAGES[..1], data));
            let expected = reference::batch(&short, index, &array(&IMAGES, &pixels), &classes_array, &rotated).unwrap();

            pollster::block_on(async {
                let mut runner = Runner::new(&gpu, &Program::new("batch", graph.clone(), &outputs)).await.unwrap();
                runner.feed(images, &pixels.iter().map(|&p| p as u8).collect::<Vec<u8>>()).unwrap();
                runner.feed(labels, &words(&classes)).unwrap();
                runner.feed(order, &words(&permutation)).unwrap();
                let lambda = gather.augment.lambda(gather.seed, index);
                let (first, valid) = (first as u32, valid as u32);
                runner.set_step(StepNumbers { index, first, valid, lambda, ..StepNumbers::default() }).unwrap();
                runner.run_poisoned().await.unwrap();
                let bytes = runner.read(x).await.unwrap();
                let found: Vec<f32> =
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                let (rows, rest) = found.split_at(expected[0].data.len());
                for (i, (found, expected)) in rows.iter().zip(&expected[0].data).enumerate() {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(error < 2e-6, "{text}, step {index}: x[{i}] is {found}, expected {expected}");
                }
                assert!(rest.iter().all(|x| *x == 0.0), "{text}: rows behind the end are not zero");
                for (value, expected) in outputs[1..].iter().zip(&expected[1..]) {
                    let mut padded = expected.data.clone();
                    padded.resize(BATCH, 0.0);
                    assert_eq!(runner.read(*value).await.unwrap(), words(&padded), "{text}, step {index}");
                }
            });
        }
    }
}
