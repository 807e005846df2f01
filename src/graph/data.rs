//! Where tensors come from: inputs, parameters, constants, and batches of a resident data set.

use super::op::Inferred;
use super::*;

/// The distribution of a parameter's first values. They are drawn on the host, so that they are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// One number everywhere.
    Constant(f32),
    /// Uniform in `[-bound, bound)`. PyTorch's default for convolutions and linear layers is `1 / sqrt(fan_in)`.
    Uniform(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// `(images u8 [T,C,H,W], labels u32 [T], order u32 [T]) -> x [N,C,H,W], labels u32 [N]`.
///
/// Row `i` of step `s` is sample `order[first(s) + i]`, each pixel `p` as `(p / 255 - mean[c]) / std[c]`; rows behind
/// the end of a short batch are zero. With an [`Augment`] other than none, images are changed by it before they are
/// normalised; with mixup there are two more results, the labels `u32 [N]` of the images that were mixed in, and the weight
/// `[1]` of the images themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gather {
    /// `N`.
    pub batch: usize,
    /// Per channel, of pixels scaled to 0..1.
    pub mean: Vec<f32>,
    /// Per channel.
    pub std: Vec<f32>,
    /// Random changes.
    pub augment: Augment,
    /// What they are drawn from.
    pub seed: u64,
}

/// What a [`Gather`] yields.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The images `[N,C,H,W]`.
    pub x: Value,
    /// Their labels u32 `[N]`.
    pub labels: Value,
    /// With mixup, the labels u32 `[N]` of the images that were mixed in, and the weight `[1]` of the images themselves.
    pub mix: Option<(Value, Value)>,
}

impl Gather {
    /// Batches as they are.
    pub fn plain(batch: usize, mean: &[f32], std: &[f32]) -> Self {
        Self { batch, mean: mean.into(), std: std.into(), ..Self::default() }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let &[_, c, h, w] = &inputs[0].shape[..] else {
            return Err(format!("gather wants images [T,C,H,W], got {:?}", inputs[0].shape));
        };
        if self.mean.len() != c || self.std.len() != c {
            return Err(format!(
                "gather: {c} channels want {c} means and deviations, got {} and {}",
                self.mean.len(),
                self.std.len()
            ));
        }
        if self.std.contains(&0.0) {
            return Err("gather: a standard deviation is 0".into());
        }
        let total = inputs[0].shape[0];
        let expected = [(DType::U8, inputs[0].shape.clone()), (DType::U32, vec![total]), (DType::U32, vec![total])];
        for ((name, info), (dtype, shape)) in ["images", "labels", "order"].iter().zip(inputs).zip(expected) {
            if info.dtype != dtype || info.shape != shape {
                return Err(format!(
                    "gather: {name} are {:?} {:?}, expected {dtype:?} {shape:?}",
                    info.dtype, info.shape
                ));
            }
        }
        self.augment.check([c, h, w])?;
        let mut yields = vec![(vec![self.batch, c, h, w], DType::F32), (vec![self.batch], DType::U32)];
        if self.augment.mixup > 0.0 {
            yields.extend([(vec![self.batch], DType::U32), (vec![1], DType::F32)]);
        }
        Ok(yields)
    }
}

impl Graph {
    /// A tensor handed in from outside under `name`.
    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> Result<Value> {
        if self.inputs().any(|(other, _)| other == name) {
            return Err(Error::shape(name, "an input of this name exists already"));
        }
        self.leaf(Op::Input, name.into(), shape, dtype)
    }

    /// A trainable tensor; `name` is appended to the path of the layer being traced.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Value> {
        self.named(Op::Parameter(init), name, shape)
    }

    /// A tensor that outlives a step and is not trained (PyTorch's buffers): running statistics. `name` is appended to
    /// the path of the layer being traced.
    pub fn buffer(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Value> {
        self.named(Op::Buffer(init), name, shape)
    }

    fn named(&mut self, op: Op, name: &str, shape: &[usize]) -> Result<Value> {
        let path = self.path(name);
        if self.state().any(|(other, ..)| other == path) {
            return Err(Error::shape(path, format!("a {} of this name exists already", op.name())));
        }
        self.leaf(op, path, shape, DType::F32)
    }

    /// A tensor with `value` everywhere.
    pub fn constant(&mut self, value: f32, shape: &[usize]) -> Result<Value> {
        self.add_one(Op::Constant { value, shape: shape.into() }, &[])
    }

    /// A batch of a resident data set, see [`Gather`].
    pub fn gather(&mut self, images: Value, labels: Value, order: Value, gather: Gather) -> Result<(Value, Value)> {
        let batch = self.gather_mixed(images, labels, order, gather)?;
        Ok((batch.x, batch.labels))
    }

    /// [`Graph::gather`], with the labels and the weight of a mixup if there is one.
    pub fn gather_mixed(&mut self, images: Value, labels: Value, order: Value, gather: Gather) -> Result<Batch> {
        let outputs = self.add_node(Op::Gather(gather), &[images, labels, order])?;
        let mix = outputs.get(2).copied().zip(outputs.get(3).copied());
        Ok(Batch { x: outputs[0], labels: outputs[1], mix })
    }

    fn leaf(&mut self, op: Op, name: String, shape: &[usize], dtype: DType) -> Result<Value> {
        check_extents(shape).map_err(|message| Error::shape(&*name, message))?;
        let value = Value(self.values.len() as u32);
        self.values.push(ValueInfo { shape: shape.into(), dtype, node: self.nodes.len() });
        let epilogue = Epilogue::default();
        self.nodes.push(Node { op, inputs: vec![], outputs: vec![value], layer: name, epilogue });
        Ok(value)
    }
}
