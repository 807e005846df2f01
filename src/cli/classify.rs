//! Images through a trained network.

use super::weights::Trained;
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread;
use wgrad::Result;
use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{DType, Gather, Graph, Value};
use wgrad::plan::{Plan, Program};

/// Bytes of pixels that are on the device at once, if a batch is not larger.
const CHUNK: usize = 32 << 20;

/// The logits of `count` images that have the shape that the network takes; `read` yields the pixels of some of them, and
/// `progress` hears how many are done.
///
/// Batches are gathered and normalised on the device by the kernels of training, so that an evaluation of a checkpoint
/// yields what its run saw. While some images are on the device, the next are read.
pub fn logits(
    gpu: &Gpu,
    network: &mut Trained,
    count: usize,
    read: impl Fn(Range<usize>) -> Result<Vec<u8>> + Send,
    batch: usize,
    progress: impl Fn(usize),
) -> Result<Vec<Vec<f32>>> {
    let size: usize = network.input.iter().product();
    let (program, [pixels, labels, order]) = program(network, count, batch)?;
    let (graph, result) = (&program.graph, program.outputs[0]);
    let rows = graph.shape(labels)[0];
    gpu.check_room("a forward pass", Plan::new(&program, gpu.target())?.bytes(), |have| {
        let bytes =
            |batch: usize| Some(Plan::new(&self::program(network, count, batch).ok()?.0, gpu.target()).ok()?.bytes());
        let halves = std::iter::successors(Some(batch / 2), |half| Some(half / 2)).take_while(|half| *half > 0);
        let fitting = halves.filter_map(|half| Some((half, bytes(half)?))).find(|(_, need)| *need <= have);
        fitting.map_or("no smaller batch fits either".into(), |(half, need)| format!("batches of {half} need {need}"))
    })?;
    let parameters: Vec<_> = graph.state().map(|(name, value, _)| (name.to_string(), value)).collect();
    let shapes: Vec<_> = parameters.iter().map(|(name, value)| (name.clone(), graph.shape(*value).to_vec())).collect();
    let numbers = network.tensors.take_exact(&shapes, |name| name.starts_with("optimizer."))?;
    let mut runner = pollster::block_on(Runner::new(gpu, &program))?;
    for ((_, value), numbers) in parameters.iter().zip(&numbers) {
        runner.feed(*value, bytemuck::cast_slice(numbers))?;
    }
    let identity: Vec<u32> = (0..rows as u32).collect();
    runner.feed(labels, bytemuck::cast_slice(&vec![0_u32; rows]))?;
    runner.feed(order, bytemuck::cast_slice(&identity))?;
    let mut all = Vec::with_capacity(count);
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            let chunks = (0..count).step_by(rows.max(1)).map(|first| read(first..count.min(first + rows)));
            // It ends where nobody listens any more.
            chunks.into_iter().try_for_each(|chunk| sender.send(chunk).ok())
        });
        for chunk in receiver {
            let mut chunk = chunk?;
            let here = chunk.len() / size.max(1);
            chunk.resize(rows * size, 0);
            runner.feed(pixels, &chunk)?;
            for first in (0..here).step_by(batch) {
                let valid = batch.min(here - first);
                runner.set_step(StepNumbers { first: first as u32, valid: valid as u32, ..StepNumbers::default() })?;
                runner.run()?;
                let bytes = pollster::block_on(runner.read(result))?;
                let rows = bytes.chunks_exact(4 * network.classes.len()).take(valid);
                all.extend(rows.map(bytemuck::pod_collect_to_vec::<u8, f32>));
                progress(all.len());
            }
        }
        Ok(all)
    })
}

/// A forward pass of a batch of so many images, some of which are on the device at once; with the inputs images, labels
/// and order.
fn program(network: &Trained, count: usize, batch: usize) -> Result<(Program, [Value; 3])> {
    let mut graph = Graph::new();
    let [c, h, w] = network.input;
    let size = c * h * w;
    let rows = (CHUNK / (size * batch).max(1)).max(1).saturating_mul(batch).min(count);
    let pixels = graph.input("images", &[rows, c, h, w], DType::U8)?;
    let labels = graph.input("labels", &[rows], DType::U32)?;
    let order = graph.input("order", &[rows], DType::U32)?;
    let gather = Gather::plain(batch, &network.mean, &network.std);
    let (x, _) = graph.scoped("batch", |graph| graph.gather(pixels, labels, order, gather))?;
    let result = network.model.forward(&mut graph, x)?;
    Ok((Program { half: network.half, ..Program::new("prediction", graph, &[result]) }, [pixels, labels, order]))
}

/// Probabilities of classes.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// The class with the largest logit, the first of equals.
pub fn predicted(logits: &[f32]) -> usize {
    let better = |best: usize, class: usize| if logits[class] > logits[best] { class } else { best };
    (1..logits.len()).fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_large_logits_are_finite() {
        assert_eq!(softmax(&[1e30, 1e30]), [0.5, 0.5]);
        assert_eq!(softmax(&[0.0, 1000.0]), [0.0, 1.0]);
        assert_eq!(predicted(&[1.0, 3.0, 3.0]), 1);
    }
}
