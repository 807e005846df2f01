//! How gradients change parameters. Definitions are PyTorch's.

/// An optimizer with its constants; the learning rate is the one before the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent: `g = grad + weight_decay w; v = momentum v + g; w -= lr v`, or with `nesterov`
    /// `w -= lr (g + momentum v)`.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Momentum; 0 keeps no state.
        momentum: f32,
        /// Nesterov's form.
        nesterov: bool,
        /// Decay added to the gradient.
        weight_decay: f32,
    },
    /// Adam, or AdamW where the decay is decoupled from the gradient.
    Adam {
        /// Learning rate.
        lr: f64,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Decay, added to the gradient or applied to the weight.
        weight_decay: f32,
        /// AdamW: `w -= lr weight_decay w` before the step.
        decoupled: bool,
    },
    /// RMSprop: `g = grad + weight_decay w; s = alpha s + (1 - alpha) g^2; d = g / (sqrt(s) + eps)`, with `centered` the
    /// square of a running mean of `g` is taken off `s`; with momentum `v = momentum v + d`, else `v = d`; `w -= lr v`.
    RmsProp {
        /// Learning rate.
        lr: f64,
        /// Decay of the running means.
        alpha: f32,
        /// Added to the root.
        eps: f32,
        /// Momentum; 0 keeps no state for it.
        momentum: f32,
        /// Divides by the deviation instead of the root of the mean square.
        centered: bool,
        /// Decay added to the gradient.
        weight_decay: f32,
    },
}

/// A limit on gradients, applied to all of them before the update; what is not finite stays so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// All gradients are multiplied by `min(1, limit / (norm + 1e-6))`, `norm` being the Euclidean norm of all of them
    /// together (PyTorch's `clip_grad_norm_`).
    Norm(f32),
    /// Each gradient is brought into `[-limit, limit]` (PyTorch's `clip_grad_value_`).
    Value(f32),
}

impl Optimizer {
    /// SGD without momentum or decay.
    pub fn sgd(lr: f64) -> Self {
        Self::Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// Adam with PyTorch's defaults.
    pub fn adam(lr: f64) -> Self {
        Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// AdamW with PyTorch's defaults.
    pub fn adamw(lr: f64) -> Self {
        Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled: true }
    }

    /// RMSprop with PyTorch's defaults.
    pub fn rmsprop(lr: f64) -> Self {
        Self::RmsProp { lr, alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }

    /// The learning rate before the schedule.
    pub fn lr(&self) -> f64 {
        match *self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } | Self::RmsProp { lr, .. } => lr,
        }
    }

    /// The same without decay of the weights.
    pub fn without_decay(mut self) -> Self {
        match &mut self {
            Self::Sgd { weight_decay, .. } | Self::Adam { weight_decay, .. } | Self::RmsProp { weight_decay, .. } => {
                *weight_decay = 0.0;
            }
        }
        self
    }

    /// How many numbers it keeps for each parameter.
    pub fn states(&self) -> usize {
        match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            Self::Adam { .. } => 2,
            Self::RmsProp { .. } => self.state_names().len(),
        }
    }

    /// The names of those numbers, as PyTorch's `state_dict` has them.
    pub fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum_buffer"][..self.states()],
            Self::Adam { .. } => &["exp_avg", "exp_avg_sq"],
            Self::RmsProp { momentum, centered, .. } => match (*momentum != 0.0, centered) {
                (false, false) => &["square_avg"],
                (true, false) => &["square_avg", "momentum_buffer"],
                (false, true) => &["square_avg", "grad_avg"],
                (true, true) => &["square_avg", "momentum_buffer", "grad_avg"],
            },
        }
    }

    /// What changes from step to step for kernels: learning rate, step size and root of the second correction at
    /// step `t`, counted from 1, for the scheduled rate `lr`.
    pub fn step_numbers(&self, lr: f64, t: u64) -> [f32; 3] {
        match *self {
            Self::Sgd { .. } | Self::RmsProp { .. } => [lr as f32, 0.0, 0.0],
            Self::Adam { beta1, beta2, .. } => {
                let correction = |beta: f32| 1.0 - f64::from(beta).powf(t as f64);
                [lr as f32, (lr / correction(beta1)) as f32, correction(beta2).sqrt() as f32]
            }
        }
    }
}
