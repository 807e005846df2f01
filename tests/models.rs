//! Every network of the zoo against PyTorch: names and shapes, logits, loss and all gradients of a first step, the losses
//! of ten steps, and what the network says after them.
//!
//! Weights, pictures and labels are drawn here as `tests/goldens/models.py` draws them; its `models.json` holds what
//! PyTorch makes of them in f64, gradients as digests, and how far PyTorch in f32 is from that when its weights are shaken
//! by about their own rounding (`spread`). Kernels here add in another order and without fused multiplications, so their
//! rounding is another draw from the same kind of error: it is compared against a small multiple of the spread.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};
use wgrad::data::{Dataset, Images};
use wgrad::gpu::{Runner, StepNumbers};
use wgrad::graph::{Optimizer, Value};
use wgrad::plan::{Arena, Program, Record};
use wgrad::prelude::*;
use wgrad::reference::philox::{philox, unit};
use wgrad::train::training_program;

/// How many times the spread a difference in the first step may be.
const FACTOR: f64 = 8.0;

/// The relative difference that ten steps may add up to. Of the millions of values that pass through ReLU and max pooling
/// some lie so close to a kink that rounding decides on which side, and later steps amplify that.
const CURVE: f64 = 1e-3;

/// What a gradient is compared to, at least, as a part of the network's largest.
const SMALL: f64 = 1e-4;

/// The least spread that is assumed, in units of the largest number: a hundred roundings of f32. The one run behind a
/// spread may have been lucky.
const LEAST: f64 = 100.0 / (1 << 24) as f64;

const STEPS: usize = 10;
const CLASSES: usize = 10;

/// Purposes of counters.
const WEIGHTS: u32 = 100;
const CELLS: u32 = 101;
const GRAIN: u32 = 102;
const LABELS: u32 = 103;
const SIGNS: u32 = 104;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().expect("an adapter"));

static FILE: LazyLock<Json> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/models.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("models.json")).expect("models.json")
});

/// One network at a time: some take gigabytes.
static TURN: Mutex<()> = Mutex::new(());

fn fnv1a(text: &str, prime: u64, basis: u64, mask: u64) -> u64 {
    text.bytes().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(prime) & mask)
}

/// Random words under a seed, a name and a purpose.
struct Words {
    key: [u32; 2],
    purpose: u32,
}

impl Words {
    fn new(seed: u64, name: &str, purpose: u32) -> Self {
        let hash = fnv1a(name, 0x0100_0193, 0x811c_9dc5, u32::MAX.into());
        Self { key: [seed as u32, hash as u32], purpose }
    }

    fn take(&self, count: usize) -> impl Iterator<Item = u32> {
        let blocks = (0..count.div_ceil(4) as u32).flat_map(|block| philox([block, 0, 0, self.purpose], self.key));
        blocks.take(count)
    }

    fn bytes(&self, count: usize) -> Vec<u8> {
        self.take(count.div_ceil(4)).flat_map(u32::to_le_bytes).take(count).collect()
    }
}

/// The first values of a tensor, which may be the bias of a normalisation.
fn first_values(seed: u64, name: &str, shape: &[usize], normal: bool) -> Vec<f32> {
    let (middle, width) = match name.rsplit('.').next().unwrap_or(name) {
        _ if shape.len() > 1 => (0.0, (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
        "bias" => (if normal { 2.0 } else { 0.0 }, 0.1),
        "running_mean" => (0.0, 0.2),
        _ => (1.0, 0.2),
    };
    let words = Words::new(seed, name, WEIGHTS);
    let value = |word: u32| (middle + width * (2.0 * f64::from(unit(word)) - 1.0)) as f32;
    words.take(shape.iter().product()).map(value).collect()
}

/// A coarse pattern of 8x8 cells, a quarter of it grain.
fn pictures(seed: u64, count: usize, shape: [usize; 3]) -> Vec<u8> {
    let [c, h, w] = shape;
    let [gh, gw] = [h, w].map(|extent| extent.div_ceil(8));
    let cells = Words::new(seed, "pictures", CELLS).bytes(count * c * gh * gw);
    let grain = Words::new(seed, "pictures", GRAIN).bytes(count * c * h * w);
    let pixel = |(index, grain): (usize, u8)| {
        let (plane, y, x) = (index / (h * w), index / w % h, index % w);
        ((3 * u16::from(cells[(plane * gh + y / 8) * gw + x / 8]) + u16::from(grain)) >> 2) as u8
    };
    grain.into_iter().enumerate().map(pixel).collect()
}

/// The product with a vector of +1 and -1: the bits of words, the lowest first.
fn signed_sum(seed: u64, name: &str, which: u32, numbers: &[f32]) -> f64 {
    let words = Words::new(seed, name, SIGNS + which);
    let chunk = |(word, chunk): (u32, &[f32])| -> f64 {
        let signed = |(bit, &number): (usize, &f32)| f64::from(if word >> bit & 1 == 1 { -number } else { number });
        chunk.iter().enumerate().map(signed).sum()
    };
    words.take(numbers.len().div_ceil(32)).zip(numbers.chunks(32)).map(chunk).sum()
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// A network in training, and the golden numbers that it must meet.
struct Trial {
    name: &'static str,
    golden: &'static Json,
    worst: BTreeMap<&'static str, f64>,
    runner: Runner,
    program: Program,
}

impl Trial {
    fn integer(&self, key: &str) -> u64 {
        self.golden[key].as_u64().unwrap()
    }

    /// Complains if a relative difference is too large.
    fn meets(&mut self, kind: &'static str, what: &str, difference: f64) {
        let spread = self.golden["spread"][kind].as_f64().unwrap().max(LEAST);
        let tolerated = if matches!(kind, "losses" | "eval") { CURVE } else { FACTOR * spread };
        let worst = self.worst.entry(kind).or_insert(0.0);
        *worst = worst.max(difference);
        assert!(
            difference <= tolerated,
            "{}: {kind} {what} differ by {difference:.2e}, tolerated are {tolerated:.1e}",
            self.name
        );
    }

    /// [`Trial::meets`] for lists, relative to the largest number.
    fn agree(&mut self, kind: &'static str, found: &[f32]) {
        let expected = numbers(&self.golden[kind]);
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        for (index, (&found, expected)) in found.iter().zip(expected).enumerate() {
            self.meets(kind, &format!("at {index}"), (f64::from(found) - expected).abs() / largest);
        }
    }

    async fn read(&mut self, value: Value) -> Vec<f32> {
        floats(&self.runner.read(value).await.unwrap())
    }

    /// A parameter's numbers or gradient.
    async fn read_arena(&mut self, parameter: Value, arena: Arena) -> Vec<f32> {
        let regions = self.runner.plan().parameters.find(parameter).unwrap().regions(arena);
        let mut numbers = vec![];
        for region in regions {
            numbers.extend(floats(&self.runner.read_region(&region).await.unwrap()));
        }
        numbers
    }

    /// Compares digests. Differences are relative to the gradient's norm, those of elements to its largest element. The
    /// gradient by the bias of a normalisation may be zero but for rounding, where the next normalisation takes that bias
    /// away again; it is a sum of the terms of which the gradient by the weight is a weighted sum, and is compared to that.
    async fn gradients(&mut self, seed: u64, normal: &BTreeSet<String>) {
        let expected = self.golden["grads"].as_object().unwrap();
        let graph = self.program.graph.clone();
        assert_eq!(expected.len(), graph.parameters().count(), "{}", self.name);
        let digests: BTreeMap<&str, Vec<f64>> = expected.iter().map(|(name, d)| (name.as_str(), numbers(d))).collect();
        let scale = |name: &str, index: usize| {
            let least = SMALL * digests.values().fold(0.0_f64, |largest, digest| largest.max(digest[index].abs()));
            let weight =
                name.strip_suffix("bias").filter(|_| normal.contains(name)).map(|layer| format!("{layer}weight"));
            let other = weight.map_or(0.0, |weight| digests[weight.as_str()][index].abs());
            digests[name][index].abs().max(other).max(least)
        };
        for (name, value) in graph.parameters() {
            let digest = digests.get(name).unwrap_or_else(|| panic!("{}: PyTorch has no {name}", self.name));
            let found = self.read_arena(value, Arena::Gradients).await;
            let &[norm, first, second, place, largest, last] = &digest[..] else { panic!("{name}: six numbers") };
            let found_norm = found.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            let signs = [0, 1].map(|which| signed_sum(seed, name, which, &found));
            let [at_place, at_end] = [place as usize, found.len() - 1].map(|index| f64::from(found[index]));
            let off = |index: usize, found: f64, expected: f64| (found - expected).abs() / scale(name, index);
            let pairs = [(found_norm, norm), (signs[0], first), (signs[1], second)].map(|(f, e)| off(0, f, e));
            let elements = [(at_place, largest), (at_end, last)].map(|(f, e)| off(4, f, e));
            for difference in pairs.into_iter().chain(elements) {
                self.meets("grads", name, difference);
            }
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// Names and shapes with the usual number of classes are PyTorch's.
fn same_layout(name: &str, golden: &Json) {
    let model = models::by_name(name, None).unwrap();
    let network = model.trace(1, model.default_input()).unwrap();
    let line = |(name, value, _)| format!("{name} {:?}\n", network.graph.shape(value));
    let lines: BTreeSet<String> = network.graph.state().map(line).collect();
    let text: String = lines.iter().map(String::as_str).collect();
    let hash = fnv1a(&text, 0x100_0000_01b3, 0xcbf2_9ce4_8422_2325, u64::MAX);
    assert_eq!(lines.len() as u64, golden["tensors"].as_u64().unwrap(), "{name} has\n{text}");
    assert_eq!(format!("{hash:016x}"), golden["hash"].as_str().unwrap(), "{name} has\n{text}");
}

async fn trains_as_in_pytorch(name: &'static str, golden: &'static Json) {
    let shape: [usize; 3] = serde_json::from_value(golden["shape"].clone()).unwrap();
    let [batch, seed] = ["batch", "seed"].map(|key| golden[key].as_u64().unwrap());
    let batch = batch as usize;
    let model = models::by_name(name, CLASSES).unwrap();
    let labels: Vec<u32> =
        Words::new(seed, "labels", LABELS).take(2 * batch).map(|word| word % CLASSES as u32).collect();
    let images = Images { pixels: pictures(seed, 2 * batch, shape), labels, shape };
    let channels = [0.5, 0.25].map(|number| vec![number; shape[0]]);
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let dataset = Dataset::new("goldens", classes, channels.into(), images.clone(), images.clone()).unwrap();
    let [lr, momentum] = ["lr", "momentum"].map(|key| golden[key].as_f64().unwrap());
    let optimizer = Optimizer::Sgd { lr, momentum: momentum as f32, nesterov: false, weight_decay: 0.0 };
    let settings = Settings { batch_size: batch, optimizer, dropout: Some(0.0), ..Settings::default() };

    let mut program = training_program(&model, &dataset, &settings).unwrap();
    let Record::Loss { loss, hits } = program.record else { panic!("a training step has a loss") };
    let logits = program.graph.producer(hits).inputs[0];
    program.outputs = vec![logits, loss];
    let runner = Runner::new(&GPU, &program).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let names: BTreeSet<String> = program.graph.state().map(|(name, ..)| name.to_string()).collect();
    let of_normalisation = |name: &String| names.contains(&name.replace("bias", "running_mean"));
    let normal: BTreeSet<String> =
        names.iter().filter(|name| name.ends_with("bias")).filter(|n| of_normalisation(n)).cloned().collect();
    for (name, value, _) in program.graph.state() {
        let numbers = first_values(seed, name, program.graph.shape(value), normal.contains(name));
        runner.feed(value, bytemuck::cast_slice(&numbers)).unwrap();
    }
    let order: Vec<u32> = (0..2 * batch as u32).collect();
    for (input, value) in program.graph.inputs() {
        match input {
            "train.images" => runner.feed(value, &images.pixels).unwrap(),
            "train.labels" => runner.feed(value, bytemuck::cast_slice(&images.labels)).unwrap(),
            "train.order" => runner.feed(value, bytemuck::cast_slice(&order)).unwrap(),
            other => panic!("{name}: an input {other}"),
        }
    }

    let mut trial = Trial { name, golden, worst: BTreeMap::new(), runner, program };
    let losses = numbers(&golden["losses"]);
    assert_eq!(losses.len(), STEPS);
    for (step, expected) in losses.into_iter().enumerate() {
        let numbers = StepNumbers {
            index: step as u32,
            first: (step % 2 * batch) as u32,
            valid: batch as u32,
            rates: optimizer.step_numbers(lr, step as u64 + 1),
            ..StepNumbers::once()
        };
        trial.runner.set_step(numbers).unwrap();
        trial.runner.run().unwrap();
        let found = f64::from(trial.read(loss).await[0]);
        if step == 0 {
            let found = trial.read(logits).await;
            trial.agree("logits", &found);
            trial.gradients(seed, &normal).await;
        }
        trial.meets("losses", &format!("at step {step}"), (found - expected).abs() / expected);
    }

    let network = model.trace(batch, shape).unwrap();
    let mut eval =
        Runner::new(&GPU, &Program::new("evaluation", network.graph.clone(), &[network.logits])).await.unwrap();
    let values: BTreeMap<String, Value> =
        trial.program.graph.state().map(|(name, value, _)| (name.to_string(), value)).collect();
    for (name, value, _) in network.graph.state() {
        // Auxiliary classifiers are no part of a plan for inference.
        if eval.plan().parameters.find(value).is_some() {
            let numbers = trial.read_arena(values[name], Arena::Parameters).await;
            eval.feed(value, bytemuck::cast_slice(&numbers)).unwrap();
        }
    }
    let x: Vec<f32> = images.pixels[..batch * shape.iter().product::<usize>()]
        .iter()
        .map(|&pixel| (f32::from(pixel) / 255.0 - 0.5) / 0.25)
        .collect();
    eval.feed(network.input, bytemuck::cast_slice(&x)).unwrap();
    eval.run().unwrap();
    let found = floats(&eval.read(network.logits).await.unwrap());
    trial.agree("eval", &found);
    let classes = trial.integer("batch") as usize * CLASSES;
    assert_eq!(found.len(), classes);
    let worst: Vec<String> = trial.worst.iter().map(|(kind, worst)| format!("{kind} {worst:.1e}")).collect();
    println!("{name}: largest differences {}; PyTorch's spread {}", worst.join(", "), golden["spread"]);
}

fn check(name: &'static str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let golden = &FILE[name];
    assert!(golden.is_object(), "models.json does not know {name}");
    same_layout(name, golden);
    pollster::block_on(trains_as_in_pytorch(name, golden));
}

macro_rules! networks {
    ($($test:ident $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*

        #[test]
        fn none_is_left_out() {
            let names: Vec<&str> = models::MODELS.iter().map(|(name, ..)| *name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

networks! {
    lenet5 "lenet5";
    lenet5_1998 "lenet5-1998";
    tutorial "tutorial";
    alexnet_cifar "alexnet-cifar";
    vgg11_cifar "vgg11-cifar";
    vgg16_bn_cifar "vgg16_bn-cifar";
    resnet18_cifar "resnet18-cifar";
    alexnet "alexnet";
    alexnet_2012 "alexnet-2012";
    vgg11 "vgg11";
    vgg13 "vgg13";
    vgg16 "vgg16";
    vgg19 "vgg19";
    vgg11_bn "vgg11_bn";
    vgg13_bn "vgg13_bn";
    vgg16_bn "vgg16_bn";
    vgg19_bn "vgg19_bn";
    googlenet "googlenet";
    googlenet_aux "googlenet-aux";
    inception_v3 "inception_v3";
    inception_v3_aux "inception_v3-aux";
    resnet18 "resnet18";
    resnet34 "resnet34";
    resnet50 "resnet50";
    resnet101 "resnet101";
}
