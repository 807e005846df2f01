//! The networks that come with the crate; one file per family.
//!
//! Names and layouts of parameters are those of torchvision's `state_dict` where torchvision has the network, so that
//! weights can be exchanged.

mod alexnet;
mod googlenet;
mod inception;
mod lenet;
mod parts;
mod resnet;
mod vgg;

pub use alexnet::{alexnet, alexnet_2012, alexnet_cifar};
pub use googlenet::{googlenet, googlenet_aux};
pub use inception::{inception_v3, inception_v3_aux};
pub use lenet::{lenet5, lenet5_1998, tutorial};
pub use resnet::{resnet18, resnet18_cifar, resnet34, resnet50, resnet101};
pub use vgg::{vgg11, vgg11_bn, vgg11_cifar, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg16_bn_cifar, vgg19, vgg19_bn};

use super::Model;
use crate::{Error, Result};

/// Makes a model for a number of classes.
pub type Build = fn(usize) -> Model;

/// All models: name, builder, and the number of classes where no data set says it.
pub const MODELS: &[(&str, Build, usize)] = &[
    ("lenet5", lenet5, 10),
    ("lenet5-1998", lenet5_1998, 10),
    ("tutorial", tutorial, 10),
    ("alexnet-cifar", alexnet_cifar, 10),
    ("vgg11-cifar", vgg11_cifar, 10),
    ("vgg16_bn-cifar", vgg16_bn_cifar, 10),
    ("resnet18-cifar", resnet18_cifar, 10),
    ("alexnet", alexnet, 1000),
    ("alexnet-2012", alexnet_2012, 1000),
    ("vgg11", vgg11, 1000),
    ("vgg13", vgg13, 1000),
    ("vgg16", vgg16, 1000),
    ("vgg19", vgg19, 1000),
    ("vgg11_bn", vgg11_bn, 1000),
    ("vgg13_bn", vgg13_bn, 1000),
    ("vgg16_bn", vgg16_bn, 1000),
    ("vgg19_bn", vgg19_bn, 1000),
    ("googlenet", googlenet, 1000),
    ("googlenet-aux", googlenet_aux, 1000),
    ("inception_v3", inception_v3, 1000),
    ("inception_v3-aux", inception_v3_aux, 1000),
    ("resnet18", resnet18, 1000),
    ("resnet34", resnet34, 1000),
    ("resnet50", resnet50, 1000),
    ("resnet101", resnet101, 1000),
];

/// The model of this name for so many classes; `None` stands for 1,000 with the networks for ImageNet, 10 with others.
///
/// # Errors
///
/// [`Error::Usage`] with all names, if there is none of this name.
pub fn by_name(name: &str, classes: impl Into<Option<usize>>) -> Result<Model> {
    match MODELS.iter().find(|(other, ..)| *other == name) {
        Some((_, build, usual)) => Ok(build(classes.into().unwrap_or(*usual))),
        None => {
            let names: Vec<&str> = MODELS.iter().map(|(name, ..)| *name).collect();
            Err(Error::usage(format!("there is no model {name:?}; there are {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests;
