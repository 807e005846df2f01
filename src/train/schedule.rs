//! How the learning rate changes over a run. Definitions are those of `torch.optim.lr_scheduler`.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The course of the learning rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Schedule {
    /// The same throughout.
    #[default]
    Constant,
    /// Half a cosine from the rate down to `min`, step by step over the whole run (`CosineAnnealingLR`).
    Cosine {
        /// The rate that the end would have.
        min: f64,
        /// Steps of linear rise before it, from a tenth of the rate (`LinearLR`, then `SequentialLR`).
        warmup: u64,
    },
    /// Multiplied by `gamma` after every `epochs` epochs (`StepLR`).
    Step {
        /// Epochs at one rate.
        epochs: u64,
        /// The factor.
        gamma: f64,
    },
    /// Multiplied by `gamma` at each of these epochs (`MultiStepLR`).
    MultiStep {
        /// Epochs that begin with a lower rate, counted from 0.
        milestones: Vec<u64>,
        /// The factor.
        gamma: f64,
    },
    /// Multiplied by `gamma` after every epoch (`ExponentialLR`).
    Exponential {
        /// The factor.
        gamma: f64,
    },
}

/// Where a run begins to rise from, as PyTorch's `LinearLR` is mostly used.
const WARMUP_START: f64 = 0.1;

impl Schedule {
    /// The rate of `step` (from 0) in a run of `steps`, with `steps_per_epoch`, that begins with `lr`.
    pub fn rate(&self, lr: f64, step: u64, steps: u64, steps_per_epoch: u64) -> f64 {
        let epoch = step / steps_per_epoch.max(1);
        match self {
            Self::Constant => lr,
            Self::Cosine { warmup, .. } if step < *warmup => {
                lr * (WARMUP_START + (1.0 - WARMUP_START) * step as f64 / *warmup as f64)
            }
            Self::Cosine { min, warmup } => {
                let done = (step - warmup) as f64 / steps.saturating_sub(*warmup).max(1) as f64;
                min + (lr - min) * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()) / 2.0
            }
            Self::Step { epochs, gamma } => lr * gamma.powf((epoch / epochs.max(&1)) as f64),
            Self::MultiStep { milestones, gamma } => {
                lr * gamma.powf(milestones.iter().filter(|&&milestone| milestone <= epoch).count() as f64)
            }
            Self::Exponential { gamma } => lr * gamma.powf(epoch as f64),
        }
    }
}

/// The forms that [`Schedule::from_str`] reads, for help texts.
pub const FORMS: &str =
    "constant, cosine[:MIN[:WARMUP_STEPS]], step:EPOCHS:GAMMA, multistep:EPOCH,EPOCH,...:GAMMA, exponential:GAMMA";

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fail = || Error::usage(format!("{text:?} is no schedule; there are {FORMS}"));
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let arguments: Vec<&str> = parts.collect();
        let number = |index: usize| {
            let number: f64 = arguments.get(index).and_then(|text| text.parse().ok()).ok_or_else(fail)?;
            if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(fail()) }
        };
        let count = |text: &str| text.parse::<u64>().map_err(|_| fail());
        match (name, arguments.len()) {
            ("constant", 0) => Ok(Self::Constant),
            ("cosine", 0) => Ok(Self::Cosine { min: 0.0, warmup: 0 }),
            ("cosine", 1) => Ok(Self::Cosine { min: number(0)?, warmup: 0 }),
            ("cosine", 2) => Ok(Self::Cosine { min: number(0)?, warmup: count(arguments[1])? }),
            ("step", 2) if count(arguments[0])? > 0 => {
                Ok(Self::Step { epochs: count(arguments[0])?, gamma: number(1)? })
            }
            ("multistep", 2) => {
                let milestones = arguments[0].split(',').map(count).collect::<Result<_>>()?;
                Ok(Self::MultiStep { milestones, gamma: number(1)? })
            }
            ("exponential", 1) => Ok(Self::Exponential { gamma: number(0)? }),
            _ => Err(fail()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine { min, warmup } => write!(f, "cosine:{min}:{warmup}"),
            Self::Step { epochs, gamma } => write!(f, "step:{epochs}:{gamma}"),
            Self::MultiStep { milestones, gamma } => {
                let milestones: Vec<String> = milestones.iter().map(u64::to_string).collect();
                write!(f, "multistep:{}:{gamma}", milestones.join(","))
            }
            Self::Exponential { gamma } => write!(f, "exponential:{gamma}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_a_schedule_or_an_error(
            text in prop_oneof![any::<String>(), "(cosine|step|multistep|exponential|constant)(:[0-9.,e-]{0,6}){0,3}"]
        ) {
            if let Ok(schedule) = text.parse::<Schedule>() {
                prop_assert_eq!(&schedule.to_string().parse::<Schedule>().unwrap(), &schedule);
                for (step, steps, per_epoch) in [(0, 1, 1), (0, 0, 0), (u64::MAX, u64::MAX, 1), (7, u64::MAX, 0)] {
                    prop_assert!(!schedule.rate(0.1, step, steps, per_epoch).is_nan());
                }
            }
        }
    }

    #[test]
    fn text_and_back() {
        for text in ["constant", "cosine:0.001:5", "step:7:0.1", "multistep:5,20:0.3", "exponential:0.9"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "cosine:x", "step:0:0.1", "step:3", "linear", "exponential:-1", "exponential:inf"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
