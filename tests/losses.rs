//! Losses in programs: what is recorded, what fuses, short batches, and labels that are no class.

use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{CrossEntropyOptions, DType, Graph, Unary, Value, differentiate};
use wgrad::plan::{Program, Record, Region, Role};

const CLASSES: usize = 5;

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Numbers that look random, between -1 and 1.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32).map(|i| ((i + 1) * 7919 * (seed + 3) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Feeds every input: floats between -1 and 1, labels in turn; the rows of a larger batch begin with those of a smaller.
fn feed(runner: &Runner, graph: &Graph) {
    for (index, (_, value)) in graph.inputs().enumerate() {
        let info = graph.info(value);
        let contents = match info.dtype {
            DType::F32 => bytes(&numbers(info.elements(), index as u32)),
            _ => (0..info.elements()).flat_map(|i| ((i * (index + 2)) as u32 % CLASSES as u32).to_le_bytes()).collect(),
        };
        runner.feed(value, &contents).unwrap();
    }
}

async fn run(gpu: &Gpu, program: &Program, valid: u32, read: &[Value]) -> (Vec<f32>, Vec<Vec<f32>>, Vec<&'static str>) {
    let mut runner = Runner::new(gpu, program).await.unwrap();
    feed(&runner, &program.graph);
    runner.set_step(StepNumbers { valid, slot: 3, ..StepNumbers::default() }).unwrap();
    runner.run().unwrap();
    let record = match program.record {
        Record::None => vec![],
        _ => floats(&runner.read_region(&Region { role: Role::Records, offset: 3 * 16, size: 16 }).await.unwrap()),
    };
    let mut values = vec![];
    for &value in read {
        values.push(floats(&runner.read(value).await.unwrap()));
    }
    (record, values, runner.plan().kernels().map(|kernel| kernel.name).collect())
}

fn batch(graph: &mut Graph, name: &str, rows: usize) -> (Value, Value) {
    let logits = graph.input(&format!("{name}.logits"), &[rows, CLASSES], DType::F32).unwrap();
    (logits, graph.input(&format!("{name}.labels"), &[rows], DType::U32).unwrap())
}

/// The total of a classifier and two auxiliary ones, of which only the first one's hits count.
#[test]
fn a_weighted_total_is_recorded_and_its_gradients_fuse() {
    let gpu = Gpu::new().unwrap();
    let mut graph = Graph::new();
    let heads = ["main", "aux1", "aux2"].map(|name| batch(&mut graph, name, 9));
    let losses = heads.map(|(logits, labels)| graph.cross_entropy(logits, labels).unwrap());
    let mut total = losses[0].0;
    for (loss, _) in &losses[1..] {
        let part = graph.unary(*loss, Unary::Scale(0.3)).unwrap();
        total = graph.add(total, part).unwrap();
    }
    let derived = differentiate(&graph, total, &heads.map(|(logits, _)| logits)).unwrap();
    let grads: Vec<Value> = derived.grads.iter().map(|grad| grad.unwrap()).collect();
    let read = [&grads[..], &losses.map(|(loss, _)| loss)[..], &[losses[0].1]].concat();
    let mut program = Program::new("three heads", derived.graph, &read);
    program.record = Record::Loss { loss: total, hits: losses[0].1 };
    pollster::block_on(async {
        let (record, values, kernels) = run(&gpu, &program, 9, &read).await;
        let expected = values[3][0] + (0.3 * values[4][0] + 0.3 * values[5][0]);
        assert!((record[0] - expected).abs() < 1e-6, "{record:?} {expected}");
        assert_eq!(record[1..], [values[6][0], 9.0, 0.0]);
        assert_eq!(kernels.iter().filter(|name| **name == "cross_entropy").count(), 3, "{kernels:?}");
        assert_eq!(kernels.iter().filter(|name| **name == "record").count(), 1, "{kernels:?}");

        // The same gradients as each loss has by itself.
        for (index, scale) in [1.0, 0.3, 0.3].into_iter().enumerate() {
            let alone = differentiate(&graph, losses[index].0, &[heads[index].0]).unwrap();
            let wanted = [alone.grads[0].unwrap()];
            let (_, values_alone, _) = run(&gpu, &Program::new("one head", alone.graph, &wanted), 9, &wanted).await;
            for (a, b) in values[index].iter().zip(&values_alone[0]) {
                assert!((a - scale * b).abs() <= 1e-7, "{a} {b}");
            }
        }
    });
}

/// One loss is recorded by the kernel that sums it up.
#[test]
fn a_single_loss_needs_no_kernel_to_record_it() {
    let gpu = Gpu::new().unwrap();
    let mut graph = Graph::new();
    let (logits, labels) = batch(&mut graph, "main", 9);
    let (loss, hits) = graph.cross_entropy(logits, labels).unwrap();
    let mut program = Program::new("one head", graph, &[loss, hits]);
    program.record = Record::Loss { loss, hits };
    let (record, values, kernels) = pollster::block_on(run(&gpu, &program, 9, &[loss, hits]));
    assert_eq!(record, [values[0][0], values[1][0], values[1][1], 0.0]);
    assert_eq!(kernels, ["cross_entropy", "loss_sum"]);
}

/// Five of eight rows: the same loss, hits and gradient as a batch of five, and nothing behind them.
#[test]
fn short_batches_equal_smaller_batches_with_every_option() {
    let gpu = Gpu::new().unwrap();
    let program = |rows: usize, choice: u32| {
        let mut graph = Graph::new();
        let (logits, labels) = batch(&mut graph, "main", rows);
        let mix = (choice & 1 != 0).then(|| {
            let partner = graph.input("partner", &[rows], DType::U32).unwrap();
            (partner, graph.constant(0.75, &[1]).unwrap())
        });
        let weights = (choice & 2 != 0).then(|| {
            let weights = graph.input("weights", &[CLASSES], DType::F32).unwrap();
            graph.sigmoid(weights).unwrap()
        });
        let ignore_index = (choice & 4 != 0).then_some(2);
        let (loss, hits) = if choice & 8 != 0 {
            let targets = graph.input("targets", &[rows, CLASSES], DType::F32).unwrap();
            graph.bce_with_logits(logits, targets, weights).unwrap()
        } else {
            let options = CrossEntropyOptions { label_smoothing: 0.1, ignore_index, mix, weights };
            graph.cross_entropy_with(logits, labels, options).unwrap()
        };
        let derived = differentiate(&graph, loss, &[logits]).unwrap();
        let wanted = vec![loss, hits, derived.grads[0].unwrap()];
        let mut program = Program::new("short", derived.graph, &wanted);
        program.record = Record::Loss { loss, hits };
        (program, wanted)
    };
    for choice in 0..11 {
        let [(short, read_short), (small, read_small)] = [program(8, choice), program(5, choice)];
        let (record, mut found, kernels) = pollster::block_on(run(&gpu, &short, 5, &read_short));
        let rows = kernels.iter().filter(|name| ["cross_entropy", "bce"].contains(name)).count();
        assert_eq!(rows, 1, "choice {choice}: the gradient is computed with the loss: {kernels:?}");
        let (expected_record, expected, _) = pollster::block_on(run(&gpu, &small, 5, &read_small));
        assert_eq!(record, expected_record, "choice {choice}");
        assert!(record[0].is_finite() && record[2] <= 5.0);
        let behind = found[2].split_off(5 * CLASSES);
        assert_eq!(found, expected, "choice {choice}");
        assert!(behind.iter().all(|number| *number == 0.0), "choice {choice}: {behind:?}");
    }
}

#[test]
fn what_is_no_class_makes_the_loss_nan_and_what_is_ignored_does_not() {
    let gpu = Gpu::new().unwrap();
    for (ignore_index, labels, finite) in
        [(None, [0, 5], false), (Some(5), [0, 5], true), (Some(5), [6, 5], false), (Some(5), [5, 5], false)]
    {
        let mut graph = Graph::new();
        let logits = graph.input("logits", &[2, CLASSES], DType::F32).unwrap();
        let given = graph.input("labels", &[2], DType::U32).unwrap();
        let options = CrossEntropyOptions { ignore_index, ..CrossEntropyOptions::default() };
        let (loss, _) = graph.cross_entropy_with(logits, given, options).unwrap();
        let program = Program::new("labels", graph, &[loss]);
        pollster::block_on(async {
            let mut runner = Runner::new(&gpu, &program).await.unwrap();
            runner.feed(logits, &bytes(&numbers(2 * CLASSES, 0))).unwrap();
            runner
                .feed(given, &labels.iter().flat_map(|label: &u32| label.to_le_bytes()).collect::<Vec<u8>>())
                .unwrap();
            runner.run().unwrap();
            let loss = floats(&runner.read(loss).await.unwrap())[0];
            assert_eq!(loss.is_finite(), finite, "{ignore_index:?} {labels:?}: {loss}");
        });
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let mut graph = Graph::new();
    let (logits, labels) = batch(&mut graph, "main", 4);
    let odd = graph.input("odd", &[3], DType::F32).unwrap();
    let mut refuse = |options: CrossEntropyOptions, word: &str| {
        let error = graph.cross_entropy_with(logits, labels, options).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    let none = CrossEntropyOptions::default();
    refuse(CrossEntropyOptions { weights: Some(odd), ..none }, "class weights F32 [5], got F32 [3]");
    refuse(CrossEntropyOptions { mix: Some((odd, odd)), ..none }, "partner labels U32 [4], got F32 [3]");
    refuse(CrossEntropyOptions { label_smoothing: 1.5, ..none }, "label smoothing in 0..1, got 1.5");
    let error = graph.bce_with_logits(logits, odd, None).unwrap_err().to_string();
    assert!(error.contains("targets [4, 5], got [3]"), "{error}");
}
