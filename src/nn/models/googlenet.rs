//! GoogLeNet, the first Inception network.
//!
//! C. Szegedy and others: Going deeper with convolutions, 2014. As in torchvision it differs from the paper: batch
//! normalisation (with eps 1e-3) instead of local response normalisation, a 3x3 convolution in the branch that the paper
//! has with 5x5, pools that count partial windows at the end, and a dropout of 0.2 before the last layer. First values
//! of weights are normal with deviation 0.01; torchvision truncates them at ±2, two hundred deviations away.
//!
//! torchvision's `transform_input`, which it turns on for weights of its own, is not part of the network: images
//! normalised with mean and deviation 0.5 are what it yields.

use super::parts::{Unit, colour, conv2d, layer, linear, max_pool};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::{
    AdaptiveAvgPool2d, Conv2d, Dropout, First, Flatten, Linear, MaxPool2d, Model, Module, Relu, Sequential,
};

const DEVIATION: f32 = 0.01;

/// What the loss of each auxiliary classifier counts, as in the paper.
const AUXILIARY: f32 = 0.3;

fn unit(outputs: usize, kernel: usize) -> Unit {
    Unit(conv(outputs, kernel))
}

fn conv(outputs: usize, kernel: usize) -> Conv2d {
    conv2d(outputs, [kernel; 2], First::Normal(DEVIATION)).same()
}

fn pool(kernel: usize, stride: usize, padding: usize) -> MaxPool2d {
    max_pool(kernel, stride, padding).ceil_mode()
}

fn full(outputs: usize) -> Linear {
    linear(outputs, First::Normal(DEVIATION), First::Uniform)
}

/// Channels: of the 1x1 branch, of the two 3x3 branches before and after, and behind the pool.
struct Inception(usize, [usize; 2], [usize; 2], usize);

impl Module for Inception {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let &Self(one, three, five, pooled) = self;
        let twice = |[before, after]: [usize; 2]| Sequential::new().add("0", unit(before, 1)).add("1", unit(after, 3));
        let branches = [
            layer(graph, "branch1", unit(one, 1), x)?,
            layer(graph, "branch2", twice(three), x)?,
            layer(graph, "branch3", twice(five), x)?,
            layer(graph, "branch4", Sequential::new().add("0", pool(3, 1, 1)).add("1", unit(pooled, 1)), x)?,
        ];
        graph.concat(&branches, 1)
    }
}

/// An auxiliary classifier.
fn auxiliary(graph: &mut Graph, name: &str, classes: usize, x: Value) -> Result<()> {
    let head = Sequential::new()
        .add("avgpool", AdaptiveAvgPool2d::new(4))
        .add("conv", unit(128, 1))
        .add("flatten", Flatten)
        .add("fc1", full(1024))
        .add("relu", Relu)
        .add("dropout", Dropout(0.7))
        .add("fc2", full(classes));
    let logits = layer(graph, name, head, x)?;
    graph.add_auxiliary(logits, AUXILIARY);
    Ok(())
}

fn forward(graph: &mut Graph, x: Value, classes: usize, heads: bool) -> Result<Value> {
    let stem = Sequential::new()
        .add("conv1", Unit(conv(64, 7).stride(2)))
        .add("maxpool1", pool(3, 2, 0))
        .add("conv2", unit(64, 1))
        .add("conv3", unit(192, 3))
        .add("maxpool2", pool(3, 2, 0))
        .add("inception3a", Inception(64, [96, 128], [16, 32], 32))
        .add("inception3b", Inception(128, [128, 192], [32, 96], 64))
        .add("maxpool3", pool(3, 2, 0))
        .add("inception4a", Inception(192, [96, 208], [16, 48], 64));
    let middle = Sequential::new()
        .add("inception4b", Inception(160, [112, 224], [24, 64], 64))
        .add("inception4c", Inception(128, [128, 256], [24, 64], 64))
        .add("inception4d", Inception(112, [144, 288], [32, 64], 64));
    let end = Sequential::new()
        .add("inception4e", Inception(256, [160, 320], [32, 128], 128))
        .add("maxpool4", pool(2, 2, 0))
        .add("inception5a", Inception(256, [160, 320], [32, 128], 128))
        .add("inception5b", Inception(384, [192, 384], [48, 128], 128))
        .add("avgpool", AdaptiveAvgPool2d::new(1))
        .add("flatten", Flatten)
        .add("dropout", Dropout(0.2))
        .add("fc", full(classes));
    let x = stem.forward(graph, x)?;
    if heads {
        auxiliary(graph, "aux1", classes, x)?;
    }
    let x = middle.forward(graph, x)?;
    if heads {
        auxiliary(graph, "aux2", classes, x)?;
    }
    end.forward(graph, x)
}

/// GoogLeNet without auxiliary classifiers; 6,624,904 parameters with a thousand classes.
pub fn googlenet(classes: usize) -> Model {
    let module = move |graph: &mut Graph, x: Value| forward(graph, x, classes, false);
    Model::new("googlenet", classes, colour(15, 224), module)
}

/// GoogLeNet with its two auxiliary classifiers, each of which counts 0.3 in the training loss; 13,004,888 parameters
/// with a thousand classes.
pub fn googlenet_aux(classes: usize) -> Model {
    let module = move |graph: &mut Graph, x: Value| forward(graph, x, classes, true);
    Model::new("googlenet-aux", classes, colour(15, 224), module)
}
