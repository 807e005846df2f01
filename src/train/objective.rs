//! What training minimises: cross-entropy with the settings' options, auxiliary classifiers included.

use super::Settings;
use crate::data::Dataset;
use crate::graph::{CrossEntropyOptions, DType, Graph, Unary, Value};
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The input that holds the weights of classes.
pub(super) const CLASS_WEIGHTS: &str = "train.class_weights";

/// What each class counts for in the training loss, see [`CrossEntropy`](crate::graph::CrossEntropy).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeights {
    /// All the same.
    #[default]
    Equal,
    /// Class `c` of `C`, with `n_c` of `n` training samples, counts `n / (C n_c)`: each class as much as another. A class
    /// without samples counts 0.
    Balanced,
    /// These, one for each class.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// The numbers for a data set; `None` if all classes count the same.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if there are not as many numbers as classes.
    pub fn numbers(&self, dataset: &Dataset) -> Result<Option<Vec<f32>>> {
        let classes = dataset.classes.len();
        match self {
            Self::Equal => Ok(None),
            Self::Balanced => {
                let mut counts = vec![0_usize; classes];
                dataset.train.labels.iter().for_each(|&label| counts[label as usize] += 1);
                let all = dataset.train.len() as f64;
                let weight = |count| if count == 0 { 0.0 } else { (all / (classes * count) as f64) as f32 };
                Ok(Some(counts.into_iter().map(weight).collect()))
            }
            Self::Given(numbers) if numbers.len() != classes => Err(Error::usage(format!(
                "--class-weights has {} numbers, but {} has {classes} classes; give one for each",
                numbers.len(),
                dataset.name
            ))),
            Self::Given(numbers) => Ok(Some(numbers.clone())),
        }
    }

    /// Refuses what is no weight.
    pub(super) fn check(&self) -> Result<()> {
        let Self::Given(numbers) = self else { return Ok(()) };
        match numbers.iter().find(|number| !number.is_finite() || **number < 0.0) {
            Some(number) => {
                Err(Error::usage(format!("--class-weights must be finite and not negative, one of them is {number}")))
            }
            None if numbers.iter().all(|number| *number == 0.0) => {
                Err(Error::usage("--class-weights are all 0; at least one class must count"))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => f.write_str("equal"),
            Self::Balanced => f.write_str("balanced"),
            Self::Given(numbers) => f.write_str(&numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |_| {
            Error::usage(format!(
                "--class-weights is equal, balanced, or numbers like 1,2.5,1 for all classes, got {text:?}"
            ))
        };
        match text {
            "equal" => Ok(Self::Equal),
            "balanced" => Ok(Self::Balanced),
            _ => {
                let numbers: Result<Vec<f32>> =
                    text.split(',').map(|number| number.trim().parse().map_err(wrong)).collect();
                Ok(Self::Given(numbers?))
            }
        }
    }
}

/// The loss that training minimises: the mean cross-entropy of `logits`, and of each auxiliary classifier that the graph
/// knows in its part. `mix` are partner labels and the share of the labels, where labels are mixed. Yields loss and hits;
/// the hits are those of `logits`.
pub(super) fn training_loss(
    graph: &mut Graph,
    logits: Value,
    labels: Value,
    mix: Option<(Value, Value)>,
    settings: &Settings,
) -> Result<(Value, Value)> {
    let classes = *graph.shape(logits).last().unwrap_or(&1);
    let weights = match settings.class_weights {
        ClassWeights::Equal => None,
        _ => Some(graph.input(CLASS_WEIGHTS, &[classes], DType::F32)?),
    };
    let label_smoothing = settings.label_smoothing;
    let options = CrossEntropyOptions { label_smoothing, weights, mix, ..CrossEntropyOptions::default() };
    graph.scoped("loss", |graph| {
        let (mut total, hits) = graph.cross_entropy_with(logits, labels, options)?;
        for (logits, part) in graph.auxiliary().to_vec() {
            let (loss, _) = graph.cross_entropy_with(logits, labels, options)?;
            let loss = graph.unary(loss, Unary::Scale(part))?;
            total = graph.add(total, loss)?;
        }
        Ok((total, hits))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    #[test]
    fn weights_are_read_and_fit_the_classes() {
        let digits = data::digits();
        let of = |text: &str| text.parse::<ClassWeights>().unwrap();
        assert_eq!(of("equal").numbers(&digits).unwrap(), None);
        let balanced = of("balanced").numbers(&digits).unwrap().unwrap();
        let mut total = 0.0;
        for (class, weight) in balanced.iter().enumerate() {
            let count = digits.train.labels.iter().filter(|&&label| label == class as u32).count();
            total += f64::from(*weight) * count as f64;
            assert!((f64::from(*weight) * count as f64 - 143.7).abs() < 1e-3, "{class}: {weight}");
        }
        assert!((total - 1437.0).abs() < 1e-2);
        assert_eq!(of("1, 2.5,0"), ClassWeights::Given(vec![1.0, 2.5, 0.0]));
        assert_eq!(of("1, 2.5,0").to_string(), "1,2.5,0");
        let error = of("1,2").numbers(&digits).unwrap_err().to_string();
        assert!(error.contains("2 numbers") && error.contains("10 classes"), "{error}");
        assert!("1,x".parse::<ClassWeights>().is_err());
        assert!(of("1,-1").check().is_err() && of("0,0").check().is_err() && of("0,1").check().is_ok());
    }
}
