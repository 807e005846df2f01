//! Inception-v3.
//!
//! C. Szegedy and others: Rethinking the inception architecture for computer vision, 2015; in torchvision's form. Batch
//! normalisation has eps 1e-3. First values of weights are normal with deviation 0.1, in the auxiliary classifier 0.01
//! and 0.001; torchvision truncates them at ±2, twenty deviations away.
//!
//! torchvision's `transform_input`, which it turns on for weights of its own, is not part of the network: images
//! normalised with mean and deviation 0.5 are what it yields.

use super::parts::{Unit, colour, conv2d, layer, linear, max_pool};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::{AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, First, Flatten, Model, Module, Sequential};

const DEVIATION: f32 = 0.1;

/// What the loss of the auxiliary classifier counts, as in torchvision's reference training.
const AUXILIARY: f32 = 0.4;

fn conv(outputs: usize, kernel: [usize; 2]) -> Conv2d {
    conv2d(outputs, kernel, First::Normal(DEVIATION))
}

/// A unit that keeps height and width.
fn same(outputs: usize, kernel: [usize; 2]) -> Unit {
    Unit(conv(outputs, kernel).same())
}

/// A unit without padding.
fn valid(outputs: usize, kernel: usize, stride: usize) -> Unit {
    Unit(conv(outputs, [kernel; 2]).stride(stride))
}

/// Units one after the other.
fn chain<const N: usize>(graph: &mut Graph, units: [(&str, Unit); N], x: Value) -> Result<Value> {
    units.into_iter().try_fold(x, |x, (name, unit)| layer(graph, name, unit, x))
}

/// A 3x3 average and a 1x1 unit.
fn pooled(graph: &mut Graph, outputs: usize, x: Value) -> Result<Value> {
    let average = AvgPool2d::new(3).stride(1).padding(1);
    let x = layer(graph, "pool", average, x)?;
    layer(graph, "branch_pool", same(outputs, [1, 1]), x)
}

/// The blocks; `Mixed_5b` to `Mixed_7c` are made of them.
enum Block {
    /// 1x1, 5x5, twice 3x3, and a pool to so many channels.
    A(usize),
    /// Halves height and width.
    B,
    /// 7x7 as 1x7 and 7x1, with so many channels between.
    C(usize),
    /// Halves height and width.
    D,
    /// 3x3 as 1x3 beside 3x1.
    E,
}

impl Module for Block {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let branches = match *self {
            Self::A(outputs) => vec![
                layer(graph, "branch1x1", same(64, [1, 1]), x)?,
                chain(graph, [("branch5x5_1", same(48, [1, 1])), ("branch5x5_2", same(64, [5, 5]))], x)?,
                chain(
                    graph,
                    [
                        ("branch3x3dbl_1", same(64, [1, 1])),
                        ("branch3x3dbl_2", same(96, [3, 3])),
                        ("branch3x3dbl_3", same(96, [3, 3])),
                    ],
                    x,
                )?,
                pooled(graph, outputs, x)?,
            ],
            Self::B => vec![
                layer(graph, "branch3x3", valid(384, 3, 2), x)?,
                chain(
                    graph,
                    [
                        ("branch3x3dbl_1", same(64, [1, 1])),
                        ("branch3x3dbl_2", same(96, [3, 3])),
                        ("branch3x3dbl_3", valid(96, 3, 2)),
                    ],
                    x,
                )?,
                layer(graph, "pool", max_pool(3, 2, 0), x)?,
            ],
            Self::C(inner) => vec![
                layer(graph, "branch1x1", same(192, [1, 1]), x)?,
                chain(
                    graph,
                    [
                        ("branch7x7_1", same(inner, [1, 1])),
                        ("branch7x7_2", same(inner, [1, 7])),
                        ("branch7x7_3", same(192, [7, 1])),
                    ],
                    x,
                )?,
                chain(
                    graph,
                    [
                        ("branch7x7dbl_1", same(inner, [1, 1])),
                        ("branch7x7dbl_2", same(inner, [7, 1])),
                        ("branch7x7dbl_3", same(inner, [1, 7])),
                        ("branch7x7dbl_4", same(inner, [7, 1])),
                        ("branch7x7dbl_5", same(192, [1, 7])),
                    ],
                    x,
                )?,
                pooled(graph, 192, x)?,
            ],
            Self::D => vec![
                chain(graph, [("branch3x3_1", same(192, [1, 1])), ("branch3x3_2", valid(320, 3, 2))], x)?,
                chain(
                    graph,
                    [
                        ("branch7x7x3_1", same(192, [1, 1])),
                        ("branch7x7x3_2", same(192, [1, 7])),
                        ("branch7x7x3_3", same(192, [7, 1])),
                        ("branch7x7x3_4", valid(192, 3, 2)),
                    ],
                    x,
                )?,
                layer(graph, "pool", max_pool(3, 2, 0), x)?,
            ],
            Self::E => {
                let one = layer(graph, "branch1x1", same(320, [1, 1]), x)?;
                let three = layer(graph, "branch3x3_1", same(384, [1, 1]), x)?;
                let double =
                    chain(graph, [("branch3x3dbl_1", same(448, [1, 1])), ("branch3x3dbl_2", same(384, [3, 3]))], x)?;
                // A concatenation of concatenations is one of all.
                vec![
                    one,
                    layer(graph, "branch3x3_2a", same(384, [1, 3]), three)?,
                    layer(graph, "branch3x3_2b", same(384, [3, 1]), three)?,
                    layer(graph, "branch3x3dbl_3a", same(384, [1, 3]), double)?,
                    layer(graph, "branch3x3dbl_3b", same(384, [3, 1]), double)?,
                    pooled(graph, 192, x)?,
                ]
            }
        };
        graph.concat(&branches, 1)
    }
}

/// The auxiliary classifier.
fn auxiliary(graph: &mut Graph, classes: usize, x: Value) -> Result<()> {
    let wide = Unit(conv2d(768, [5; 2], First::Normal(0.01)));
    let head = Sequential::new()
        .add("pool", AvgPool2d::new(5).stride(3))
        .add("conv0", same(128, [1, 1]))
        .add("conv1", wide)
        .add("avgpool", AdaptiveAvgPool2d::new(1))
        .add("flatten", Flatten)
        .add("fc", linear(classes, First::Normal(0.001), First::Uniform));
    let logits = layer(graph, "AuxLogits", head, x)?;
    graph.add_auxiliary(logits, AUXILIARY);
    Ok(())
}

fn forward(graph: &mut Graph, x: Value, classes: usize, head: bool) -> Result<Value> {
    let stem = Sequential::new()
        .add("Conv2d_1a_3x3", valid(32, 3, 2))
        .add("Conv2d_2a_3x3", valid(32, 3, 1))
        .add("Conv2d_2b_3x3", same(64, [3, 3]))
        .add("maxpool1", max_pool(3, 2, 0))
        .add("Conv2d_3b_1x1", valid(80, 1, 1))
        .add("Conv2d_4a_3x3", valid(192, 3, 1))
        .add("maxpool2", max_pool(3, 2, 0))
        .add("Mixed_5b", Block::A(32))
        .add("Mixed_5c", Block::A(64))
        .add("Mixed_5d", Block::A(64))
        .add("Mixed_6a", Block::B)
        .add("Mixed_6b", Block::C(128))
        .add("Mixed_6c", Block::C(160))
        .add("Mixed_6d", Block::C(160))
        .add("Mixed_6e", Block::C(192));
    let end = Sequential::new()
        .add("Mixed_7a", Block::D)
        .add("Mixed_7b", Block::E)
        .add("Mixed_7c", Block::E)
        .add("avgpool", AdaptiveAvgPool2d::new(1))
        .add("dropout", Dropout(0.5))
        .add("flatten", Flatten)
        .add("fc", linear(classes, First::Normal(DEVIATION), First::Uniform));
    let x = stem.forward(graph, x)?;
    if head {
        auxiliary(graph, classes, x)?;
    }
    end.forward(graph, x)
}

/// Inception-v3 without auxiliary classifier; 23,834,568 parameters with a thousand classes.
pub fn inception_v3(classes: usize) -> Model {
    let module = move |graph: &mut Graph, x: Value| forward(graph, x, classes, false);
    Model::new("inception_v3", classes, colour(75, 299), module)
}

/// Inception-v3 with its auxiliary classifier, which counts 0.4 in the training loss and needs 299x299 pixels;
/// 27,161,264 parameters with a thousand classes.
pub fn inception_v3_aux(classes: usize) -> Model {
    let module = move |graph: &mut Graph, x: Value| forward(graph, x, classes, true);
    Model::new("inception_v3-aux", classes, colour(299, 299), module)
}
