//! The programs of a run and their plans, made without a device.

use super::Settings;
use super::objective::training_loss;
use super::window::room;
use crate::data::{Dataset, Images, Part};
use crate::graph::{Batch, DType, Gather, Graph, Mode, Value, differentiate, differentiate_from, lies_below};
use crate::nn::Model;
use crate::plan::{
    Arena, Groups, Half, LossScale, ParameterPlace, Plan, Program, RECORD_BYTES, Record, Role, SLOTS, Target,
    shared_buffers,
};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The input by which the loss is scaled, and the one in which the update keeps count, see [`LossScale`].
pub(super) const LOSS_SCALE: &str = "train.loss_scale";
pub(super) const LOSS_SCALE_HISTORY: &str = "train.loss_scale_history";

/// Submits whose records have not been read yet, at most.
const IN_FLIGHT: usize = 3;

/// The graph of a batch of `part`: gathered, changed, normalised, and passed through the model. Yields logits and the
/// batch. So many images, `count`, are on the device at once.
fn forward(
    mode: Mode,
    model: &Model,
    part: &str,
    (images, count): (&Images, usize),
    gather: Gather,
    groups: &Groups,
) -> Result<(Graph, Value, Batch)> {
    let mut graph = Graph::with_mode(mode);
    graph.freeze(&groups.frozen);
    let [c, h, w] = images.shape;
    let pixels = graph.input(&format!("{part}.images"), &[count, c, h, w], DType::U8)?;
    let labels = graph.input(&format!("{part}.labels"), &[count], DType::U32)?;
    let order = graph.input(&format!("{part}.order"), &[count], DType::U32)?;
    let batch = graph.scoped("batch", |graph| graph.gather_mixed(pixels, labels, order, gather))?;
    let logits = model.forward(&mut graph, batch.x)?;
    Ok((graph, logits, batch))
}

/// The program of a training step on a resident data set.
pub fn training_program(model: &Model, dataset: &Dataset, settings: &Settings) -> Result<Program> {
    program_on(model, dataset, settings, dataset.train.len())
}

/// The program of a training step, of which so many images are on the device at once.
fn program_on(model: &Model, dataset: &Dataset, settings: &Settings, rows: usize) -> Result<Program> {
    let mode = Mode { training: true, dropout: settings.dropout, seed: settings.seed };
    let plain = Gather::plain(settings.batch_size, &dataset.mean, &dataset.std);
    let gather = Gather { augment: settings.augment, seed: settings.seed, ..plain };
    let (mut graph, logits, batch) = forward(mode, model, "train", (&dataset.train, rows), gather, &settings.groups)?;
    let (loss, hits) = training_loss(&mut graph, logits, batch.labels, batch.mix, settings)?;
    let mut groups = settings.groups.clone();
    check_frozen(&graph, &groups)?;
    let trainable = graph.parameters().filter(|(name, _)| !groups.is_frozen(name));
    let (names, parameters): (Vec<String>, Vec<Value>) =
        trainable.map(|(name, value)| (name.to_string(), value)).unzip();
    let loss_scale = settings.amp.then(|| loss_scale(&mut graph, loss)).transpose()?;
    let derived = match loss_scale {
        Some(LossScale { scale, .. }) => differentiate_from(&graph, &[(loss, scale)], &parameters)?,
        None => differentiate(&graph, loss, &parameters)?,
    };
    let mut program = Program::new("training step", derived.graph, &[]);
    for ((name, parameter), grad) in names.into_iter().zip(parameters).zip(derived.grads) {
        match grad {
            Some(grad) => program.gradients.push((parameter, grad)),
            // What the loss does not depend on stays as it is, as in PyTorch.
            None => groups.frozen.push(name),
        }
    }
    program.groups = groups;
    program.recompute = settings.recompute;
    program.half = if settings.amp { Half::Activations } else { Half::Never };
    program.loss_scale = loss_scale;
    program.update = Some(settings.update());
    program.record = Record::Loss { loss, hits };
    Ok(program)
}

/// The inputs of a scaled loss.
fn loss_scale(graph: &mut Graph, loss: Value) -> Result<LossScale> {
    let shape = graph.shape(loss).to_vec();
    let scale = graph.input(LOSS_SCALE, &shape, DType::F32)?;
    Ok(LossScale { scale, history: graph.input(LOSS_SCALE_HISTORY, &[2], DType::F32)? })
}

/// Refuses paths at which there is nothing to freeze, and a network of which nothing is left to train.
fn check_frozen(graph: &Graph, groups: &Groups) -> Result<()> {
    for path in &groups.frozen {
        if !graph.parameters().any(|(name, _)| lies_below(name, path)) {
            let mut layers: Vec<&str> =
                graph.parameters().filter_map(|(name, _)| Some(name.rsplit_once('.')?.0)).collect();
            layers.dedup();
            return Err(Error::usage(format!(
                "--freeze {path}: there is no parameter at or below this path; layers with parameters are {}",
                layers.join(", ")
            )));
        }
    }
    if graph.parameters().all(|(name, _)| groups.is_frozen(name)) {
        return Err(Error::usage("--freeze leaves no parameter to train; name fewer layers"));
    }
    Ok(())
}

/// The plans of a run and all of its memory, known before anything is allocated.
pub struct RunPlan {
    /// A training step.
    pub train: Plan,
    /// The evaluation of a batch.
    pub eval: Plan,
    /// Bytes of every buffer of the run, those for reading back included.
    pub buffers: BTreeMap<Role, u64>,
    pub(super) logits: Value,
}

impl RunPlan {
    /// Plans a run; `dataset` must fit the model.
    pub fn new(model: &Model, dataset: &Dataset, settings: &Settings, target: &Target) -> Result<Self> {
        let [train_rows, test_rows] = [(Part::Train, settings.accumulate), (Part::Test, 1)]
            .map(|(part, least)| room(dataset, part, settings.batch_size, least, target).rows);
        let training = program_on(model, dataset, settings, train_rows)?;
        let train = Plan::new(&training, target)?;
        let gather = Gather::plain(settings.batch_size, &dataset.mean, &dataset.std);
        let (mut graph, logits, batch) =
            forward(Mode::default(), model, "test", (&dataset.test, test_rows), gather, &settings.groups)?;
        let (loss, hits) = graph.scoped("loss", |graph| graph.cross_entropy(logits, batch.labels))?;
        let mut program = Program::new("evaluation step", graph, &[logits]);
        program.record = Record::Loss { loss, hits };
        program.groups = training.groups;
        program.weights = if settings.average.is_some() { Arena::Average } else { Arena::Parameters };
        program.recompute = settings.recompute;
        let eval = Plan::new(&program, target)?;

        let mut buffers = shared_buffers([&train, &eval]);
        let largest = train.parameters.iter().map(ParameterPlace::bytes).max().unwrap_or(0);
        let download = largest.max(eval.regions[&logits].size);
        let results = (SLOTS as u64 * RECORD_BYTES).max(RECORD_BYTES + eval.regions[&logits].size);
        buffers.extend((1..=IN_FLIGHT).map(|index| (Role::Staging(format!("results {index}")), results)));
        buffers.insert(Role::Staging("download".into()), download.clamp(256, 4 << 20));
        Ok(Self { train, eval, buffers, logits })
    }

    /// Bytes of all buffers: the most that the run takes at any time.
    pub fn bytes(&self) -> u64 {
        self.buffers.values().sum()
    }
}

/// Refuses a data set that does not have the model's classes.
pub(super) fn check_classes(model: &Model, dataset: &Dataset) -> Result<()> {
    if model.classes() == dataset.classes.len() {
        return Ok(());
    }
    let message =
        format!("tells {} classes apart, but {} has {}", model.classes(), dataset.name, dataset.classes.len());
    Err(Error::shape(model.name(), message))
}
