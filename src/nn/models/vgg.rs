//! VGG.
//!
//! K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition, 2014; with batch
//! normalisation as in torchvision. First values of convolutions are normal with variance `2 / fan_out`, those of fully
//! connected layers with deviation 0.01; biases begin at 0.

use super::parts::{colour, conv2d, layer, linear, max_pool, norm};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::{AdaptiveAvgPool2d, Dropout, First, Flatten, Inputs, Linear, Model, Module, Relu, Sequential};

/// Convolutions in each of the five blocks.
type Blocks = [usize; 5];

const A: Blocks = [1, 1, 2, 2, 2];
const B: Blocks = [2, 2, 2, 2, 2];
const D: Blocks = [2, 2, 3, 3, 3];
const E: Blocks = [2, 2, 4, 4, 4];

const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];

/// 3x3 convolutions, each block followed by a 2x2 maximum; layers are counted through as in torchvision.
struct Features {
    blocks: Blocks,
    norm: bool,
}

impl Module for Features {
    fn forward(&self, graph: &mut Graph, mut x: Value) -> Result<Value> {
        let mut count = 0..;
        let mut next = || count.next().unwrap_or(0).to_string();
        for (convolutions, channels) in self.blocks.into_iter().zip(CHANNELS) {
            for _ in 0..convolutions {
                let conv = conv2d(channels, [3; 2], First::FanOut).same().bias(First::Constant(0.0));
                x = layer(graph, &next(), conv, x)?;
                if self.norm {
                    x = norm(graph, &next(), x, 1e-5)?;
                }
                x = layer(graph, &next(), Relu, x)?;
            }
            x = layer(graph, &next(), max_pool(2, 2, 0), x)?;
        }
        Ok(x)
    }
}

fn full(outputs: usize) -> Linear {
    linear(outputs, First::Normal(0.01), First::Constant(0.0))
}

fn vgg(name: &str, classes: usize, blocks: Blocks, norm: bool) -> Model {
    let classifier = Sequential::new()
        .add("0", full(4096))
        .add("1", Relu)
        .add("2", Dropout(0.5))
        .add("3", full(4096))
        .add("4", Relu)
        .add("5", Dropout(0.5))
        .add("6", full(classes));
    let module = Sequential::new()
        .add("features", Features { blocks, norm })
        .add("avgpool", AdaptiveAvgPool2d::new(7))
        .add("flatten", Flatten)
        .add("classifier", classifier);
    Model::new(name, classes, colour(32, 224), module)
}

/// For images of 32x32 pixels, of which 1x1 is left: one fully connected layer.
fn small(name: &str, classes: usize, blocks: Blocks, norm: bool) -> Model {
    let module = Sequential::new()
        .add("features", Features { blocks, norm })
        .add("flatten", Flatten)
        .add("classifier", full(classes));
    Model::new(name, classes, Inputs::Shapes(vec![[3, 32, 32]]), module)
}

/// VGG-11, the paper's configuration A; 132,863,336 parameters with a thousand classes.
pub fn vgg11(classes: usize) -> Model {
    vgg("vgg11", classes, A, false)
}

/// VGG-13, the paper's configuration B; 133,047,848 parameters with a thousand classes.
pub fn vgg13(classes: usize) -> Model {
    vgg("vgg13", classes, B, false)
}

/// VGG-16, the paper's configuration D; 138,357,544 parameters with a thousand classes.
pub fn vgg16(classes: usize) -> Model {
    vgg("vgg16", classes, D, false)
}

/// VGG-19, the paper's configuration E; 143,667,240 parameters with a thousand classes.
pub fn vgg19(classes: usize) -> Model {
    vgg("vgg19", classes, E, false)
}

/// VGG-11 with batch normalisation; 132,868,840 parameters with a thousand classes.
pub fn vgg11_bn(classes: usize) -> Model {
    vgg("vgg11_bn", classes, A, true)
}

/// VGG-13 with batch normalisation; 133,053,736 parameters with a thousand classes.
pub fn vgg13_bn(classes: usize) -> Model {
    vgg("vgg13_bn", classes, B, true)
}

/// VGG-16 with batch normalisation; 138,365,992 parameters with a thousand classes.
pub fn vgg16_bn(classes: usize) -> Model {
    vgg("vgg16_bn", classes, D, true)
}

/// VGG-19 with batch normalisation; 143,678,248 parameters with a thousand classes.
pub fn vgg19_bn(classes: usize) -> Model {
    vgg("vgg19_bn", classes, E, true)
}

/// VGG-11 for images of 32x32 pixels; 9,225,610 parameters with ten classes.
pub fn vgg11_cifar(classes: usize) -> Model {
    small("vgg11-cifar", classes, A, false)
}

/// VGG-16 with batch normalisation for images of 32x32 pixels; 14,728,266 parameters with ten classes.
pub fn vgg16_bn_cifar(classes: usize) -> Model {
    small("vgg16_bn-cifar", classes, D, true)
}
