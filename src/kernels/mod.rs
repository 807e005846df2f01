//! Kernels: one file per family, beside the WGSL file of the same name in `shaders/`.
//!
//! A kernel's host side turns a node of the graph into launches: which shader with which constants, which tensors are
//! bound, how many invocations, and what it costs. It runs without a device; tile sizes come from the
//! [`Target`](crate::plan::Target).

mod accesses;
mod activation;
mod adaptive;
mod assemble;
mod batch_norm;
mod chain;
mod conv;
mod divide;
mod dropout;
mod edge_pad;
mod elementwise;
mod fold;
mod gather;
mod half;
mod images;
mod loss;
mod matmul;
mod norm;
mod pad;
mod parts;
mod pool;
mod reduce;
mod response;
mod softmax;
mod tiles;
mod update;
mod wide;
mod windows;

pub use assemble::assemble;
pub(crate) use chain::MOST_BOUND as MOST_CHAINED;
pub(crate) use elementwise::copy;
pub(crate) use images::{BESIDE as IMAGES_BESIDE, ROW as IMAGE_ROW, declared as declared_image};
pub(crate) use loss::record as lower_record;
pub(crate) use update::{accumulate as lower_accumulation, lower as lower_update};
pub(crate) use windows::{Blocks, blocks};

use crate::Result;
use crate::graph::{Node, Op, Value};
use crate::plan::Lowering;

/// A shader with the declarations that the host replaces in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The file in `shaders/`, without its ending.
    pub name: &'static str,
    /// Declaration and replacement, see [`assemble`].
    pub defines: Vec<(&'static str, String)>,
    /// Which of its storage bindings hold 16-bit floating point: a bit for each, the first one's the lowest.
    pub half: u32,
    /// The file in `shaders/` whose parts replace those of the same names.
    pub parts: Option<&'static str>,
}

impl Kernel {
    /// The shader as it stands in its file.
    pub fn new(name: &'static str) -> Self {
        Self { name, defines: Vec::new(), half: 0, parts: None }
    }

    /// With the constant, alias or one-line function `name` replaced.
    pub fn define(mut self, name: &'static str, value: impl ToString) -> Self {
        self.defines.push((name, value.to_string()));
        self
    }

    /// Whether it rounds what it multiplies, its first two operands, to 16 bits.
    pub fn rounds(&self) -> bool {
        self.defines.iter().any(|(name, value)| *name == "Number" && value == "f16")
    }
}

/// A number of a kernel's `Dims` block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dim {
    /// `u32`.
    U(u32),
    /// `i32`.
    I(i32),
    /// `f32`.
    F(f32),
}

impl Dim {
    /// The 32 bits that the shader sees.
    pub fn bits(self) -> u32 {
        match self {
            Self::U(value) => value,
            Self::I(value) => value as u32,
            Self::F(value) => value.to_bits(),
        }
    }
}

/// Below so many operations a layer gets kernels that compile in half the time and run a little slower.
const LIGHT: u64 = 1 << 27;

/// Names and texts of all shaders.
pub const SOURCES: &[(&str, &str)] = &[
    ("accumulate", include_str!("../../shaders/accumulate.wgsl")),
    ("adam", include_str!("../../shaders/adam.wgsl")),
    ("augment", include_str!("../../shaders/augment.wgsl")),
    ("adaptive_pool", include_str!("../../shaders/adaptive_pool.wgsl")),
    ("adaptive_pool_backward", include_str!("../../shaders/adaptive_pool_backward.wgsl")),
    ("avg_pool", include_str!("../../shaders/avg_pool.wgsl")),
    ("avg_pool_backward", include_str!("../../shaders/avg_pool_backward.wgsl")),
    ("batch_norm", include_str!("../../shaders/batch_norm.wgsl")),
    ("batch_norm_backward", include_str!("../../shaders/batch_norm_backward.wgsl")),
    ("batch_norm_merge", include_str!("../../shaders/batch_norm_merge.wgsl")),
    ("batch_norm_moments", include_str!("../../shaders/batch_norm_moments.wgsl")),
    ("batch_norm_sums", include_str!("../../shaders/batch_norm_sums.wgsl")),
    ("bce", include_str!("../../shaders/bce.wgsl")),
    ("broadcast", include_str!("../../shaders/broadcast.wgsl")),
    ("chain", include_str!("../../shaders/chain.wgsl")),
    ("clip_norm", include_str!("../../shaders/clip_norm.wgsl")),
    ("conv", include_str!("../../shaders/conv.wgsl")),
    ("conv_columns", include_str!("../../shaders/conv_columns.wgsl")),
    ("conv_columns_rows", include_str!("../../shaders/conv_columns_rows.wgsl")),
    ("conv_columns_sum", include_str!("../../shaders/conv_columns_sum.wgsl")),
    ("conv_lanes", include_str!("../../shaders/conv_lanes.wgsl")),
    ("conv_pack", include_str!("../../shaders/conv_pack.wgsl")),
    ("conv_quads", include_str!("../../shaders/conv_quads.wgsl")),
    ("conv_samples", include_str!("../../shaders/conv_samples.wgsl")),
    ("conv_tiles", include_str!("../../shaders/conv_tiles.wgsl")),
    ("conv_weight", include_str!("../../shaders/conv_weight.wgsl")),
    ("conv_weight_lanes", include_str!("../../shaders/conv_weight_lanes.wgsl")),
    ("conv_weight_rows", include_str!("../../shaders/conv_weight_rows.wgsl")),
    ("conv_weight_tiles", include_str!("../../shaders/conv_weight_tiles.wgsl")),
    ("copy", include_str!("../../shaders/copy.wgsl")),
    ("cross_entropy", include_str!("../../shaders/cross_entropy.wgsl")),
    ("dropout", include_str!("../../shaders/dropout.wgsl")),
    ("edge_pad", include_str!("../../shaders/edge_pad.wgsl")),
    ("edge_pad_backward", include_str!("../../shaders/edge_pad_backward.wgsl")),
    ("elementwise", include_str!("../../shaders/elementwise.wgsl")),
    ("fill", include_str!("../../shaders/fill.wgsl")),
    ("gather", include_str!("../../shaders/gather.wgsl")),
    ("gather_augmented", include_str!("../../shaders/gather_augmented.wgsl")),
    ("gather_words", include_str!("../../shaders/gather_words.wgsl")),
    ("gradient_squares", include_str!("../../shaders/gradient_squares.wgsl")),
    ("loss_shares", include_str!("../../shaders/loss_shares.wgsl")),
    ("loss_sum", include_str!("../../shaders/loss_sum.wgsl")),
    ("matmul", include_str!("../../shaders/matmul.wgsl")),
    ("matmul_lanes", include_str!("../../shaders/matmul_lanes.wgsl")),
    ("matmul_pack", include_str!("../../shaders/matmul_pack.wgsl")),
    ("matmul_panels", include_str!("../../shaders/matmul_panels.wgsl")),
    ("matmul_tiles", include_str!("../../shaders/matmul_tiles.wgsl")),
    ("max_pool", include_str!("../../shaders/max_pool.wgsl")),
    ("max_pool_2x2", include_str!("../../shaders/max_pool_2x2.wgsl")),
    ("max_pool_2x2_backward", include_str!("../../shaders/max_pool_2x2_backward.wgsl")),
    ("max_pool_backward", include_str!("../../shaders/max_pool_backward.wgsl")),
    ("max_pool_windows", include_str!("../../shaders/max_pool_windows.wgsl")),
    ("norm", include_str!("../../shaders/norm.wgsl")),
    ("norm_backward", include_str!("../../shaders/norm_backward.wgsl")),
    ("norm_stats", include_str!("../../shaders/norm_stats.wgsl")),
    ("norm_sums", include_str!("../../shaders/norm_sums.wgsl")),
    ("peak", include_str!("../../shaders/peak.wgsl")),
    ("record", include_str!("../../shaders/record.wgsl")),
    ("pad", include_str!("../../shaders/pad.wgsl")),
    ("reduce", include_str!("../../shaders/reduce.wgsl")),
    ("reduce_splits", include_str!("../../shaders/reduce_splits.wgsl")),
    ("response_norm", include_str!("../../shaders/response_norm.wgsl")),
    ("response_norm_backward", include_str!("../../shaders/response_norm_backward.wgsl")),
    ("rmsprop", include_str!("../../shaders/rmsprop.wgsl")),
    ("sgd", include_str!("../../shaders/sgd.wgsl")),
    ("softmax", include_str!("../../shaders/softmax.wgsl")),
    ("softmax_backward", include_str!("../../shaders/softmax_backward.wgsl")),
    ("tiles_cooperative", include_str!("../../shaders/tiles_cooperative.wgsl")),
    ("winograd_filter", include_str!("../../shaders/winograd_filter.wgsl")),
    ("winograd_inverse", include_str!("../../shaders/winograd_inverse.wgsl")),
    ("winograd_multiply", include_str!("../../shaders/winograd_multiply.wgsl")),
    ("winograd_output", include_str!("../../shaders/winograd_output.wgsl")),
    ("winograd_tiles", include_str!("../../shaders/winograd_tiles.wgsl")),
    ("winograd_transform", include_str!("../../shaders/winograd_transform.wgsl")),
    ("winograd_weight", include_str!("../../shaders/winograd_weight.wgsl")),
];

/// The text of the shader `name`.
pub fn source(name: &str) -> &'static str {
    SOURCES.iter().find(|(other, _)| *other == name).map_or("", |(_, text)| text)
}

/// Whether the kernels of `node` can put the samples of its first result apart, see [`Lowering::apart`].
pub(crate) fn writes_apart(node: &Node) -> bool {
    matches!(node.op, Op::BatchNorm(_))
}

/// Whether the kernels of `node`, wherever they read `value`, can find its samples apart.
pub(crate) fn reads_apart(node: &Node, value: Value) -> bool {
    let read: Vec<bool> =
        node.inputs.iter().copied().chain(node.epilogue.reads()).map(|other| other == value).collect();
    match &node.op {
        Op::BatchNormBackward(_) => read == [true, false, false],
        // Its mask.
        Op::Slice(slice) if slice.axis == 1 => read == [false, true],
        _ => false,
    }
}

/// Appends the launches that compute `node`.
pub(crate) fn lower(ctx: &mut Lowering, node: &Node) -> Result<()> {
    windows::lower(ctx, node, lower_rows)
}

fn lower_rows(ctx: &mut Lowering, node: &Node) -> Result<()> {
    match &node.op {
        Op::Input | Op::Parameter(_) | Op::Buffer(_) | Op::Reshape(_) => Ok(()),
        Op::Constant { value, .. } => elementwise::fill(ctx, node, *value),
        Op::Gather(gather) => gather::lower(ctx, node, gather),
        Op::Conv2d(conv) => conv::forward(ctx, node, conv),
        Op::Conv2dBackwardData(back) => conv::backward_data(ctx, node, back),
        Op::Conv2dBackwardWeight(back) => conv::backward_weight(ctx, node, back),
        Op::MatMul(matmul) => matmul::lower(ctx, node, matmul),
        Op::Pool2d(pool) => pool::forward(ctx, node, pool),
        Op::Pool2dBackward(back) => pool::backward(ctx, node, back),
        Op::AdaptivePool2d(pool) => adaptive::forward(ctx, node, pool),
        Op::AdaptivePool2dBackward(back) => adaptive::backward(ctx, node, back),
        Op::Unary(unary) => elementwise::unary(ctx, node, *unary),
        Op::UnaryBackward(unary) => elementwise::unary_backward(ctx, node, *unary),
        Op::Binary(binary) => elementwise::binary(ctx, node, *binary),
        Op::Broadcast(_) => elementwise::broadcast(ctx, node),
        Op::Chain(op) => chain::lower(ctx, node, op),
        Op::Reduce(reduce) => reduce::lower(ctx, node, reduce),
        Op::Permute(permute) => elementwise::permute(ctx, node, permute),
        Op::Concat(concat) => pad::concat(ctx, node, concat),
        Op::Slice(slice) => pad::slice(ctx, node, slice),
        Op::Pad(padding) => pad::pad(ctx, node, padding),
        Op::EdgePad(padding) => edge_pad::forward(ctx, node, padding),
        Op::EdgePadBackward(padding) => edge_pad::backward(ctx, node, padding),
        Op::Softmax(softmax) => softmax::forward(ctx, node, softmax),
        Op::SoftmaxBackward(softmax) => softmax::backward(ctx, node, softmax),
        Op::BatchNorm(norm) => batch_norm::forward(ctx, node, norm),
        Op::BatchNormBackward(back) => batch_norm::backward(ctx, node, back),
        Op::Dropout(dropout) => dropout::lower(ctx, node, dropout),
        Op::CrossEntropy(op) => loss::cross_entropy(ctx, node, op),
        Op::CrossEntropyGrad(grad) => loss::cross_entropy_grad(ctx, node, grad),
        Op::BinaryCrossEntropy(op) => loss::bce(ctx, node, op),
        Op::BinaryCrossEntropyGrad(grad) => loss::bce_grad(ctx, node, &grad.0),
        Op::ResponseNorm(norm) => response::forward(ctx, node, norm),
        Op::ResponseNormBackward(norm) => response::backward(ctx, node, norm),
        Op::Norm(op) => norm::forward(ctx, node, op),
        Op::NormBackward(op) => norm::backward(ctx, node, op),
        Op::NormBackwardWeight(op) => norm::backward_weight(ctx, node, op),
    }
}
