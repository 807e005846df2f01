//! Optimizers as one writes them down; [`Optimizer`] is what they become.

use crate::graph::Optimizer;

/// Stochastic gradient descent (PyTorch's `SGD`).
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    lr: f64,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
}

impl Sgd {
    /// With this learning rate, and nothing else.
    pub fn new(lr: f64) -> Self {
        Self { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// Keeps a running sum of gradients that decays by this factor.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Looks ahead along the momentum.
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }

    /// Adds this multiple of the weights to their gradients.
    pub fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        let Sgd { lr, momentum, nesterov, weight_decay } = sgd;
        Self::Sgd { lr, momentum, nesterov, weight_decay }
    }
}

/// RMSprop (PyTorch's `RMSprop`).
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    lr: f64,
    alpha: f32,
    eps: f32,
    momentum: f32,
    centered: bool,
    weight_decay: f32,
}

impl RmsProp {
    /// With this learning rate and PyTorch's defaults.
    pub fn new(lr: f64) -> Self {
        Self { lr, alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }

    /// The decay of the running mean of squares.
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Added to the root of the mean of squares.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Keeps a running sum of steps that decays by this factor.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Divides by the deviation of the gradients instead of the root of their mean square.
    pub fn centered(mut self) -> Self {
        self.centered = true;
        self
    }

    /// Adds this multiple of the weights to their gradients.
    pub fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

impl From<RmsProp> for Optimizer {
    fn from(rmsprop: RmsProp) -> Self {
        let RmsProp { lr, alpha, eps, momentum, centered, weight_decay } = rmsprop;
        Self::RmsProp { lr, alpha, eps, momentum, centered, weight_decay }
    }
}

macro_rules! adam {
    ($(#[$doc:meta] $name:ident, $decay:expr, $decoupled:expr;)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            lr: f64,
            betas: [f32; 2],
            eps: f32,
            weight_decay: f32,
        }

        impl $name {
            /// With this learning rate and PyTorch's defaults.
            pub fn new(lr: f64) -> Self {
                Self { lr, betas: [0.9, 0.999], eps: 1e-8, weight_decay: $decay }
            }

            /// The decays of the first and second moment.
            pub fn betas(mut self, beta1: f32, beta2: f32) -> Self {
                self.betas = [beta1, beta2];
                self
            }

            /// Added to the root of the second moment.
            pub fn eps(mut self, eps: f32) -> Self {
                self.eps = eps;
                self
            }

            /// The decay of the weights.
            pub fn weight_decay(mut self, weight_decay: f32) -> Self {
                self.weight_decay = weight_decay;
                self
            }
        }

        impl From<$name> for Optimizer {
            fn from(adam: $name) -> Self {
                let $name { lr, betas: [beta1, beta2], eps, weight_decay } = adam;
                Self::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: $decoupled }
            }
        }
    )*};
}

adam! {
    /// Adam (PyTorch's `Adam`): decay is added to the gradient.
    Adam, 0.0, false;
    /// Adam with decay apart from the gradient (PyTorch's `AdamW`).
    AdamW, 0.01, true;
}
